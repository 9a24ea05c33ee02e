"""The page of an estimate: every sentence follows from a rule, names stay text, nothing spills."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import taskdiscovery as td
from taskdiscovery.cli import main
from taskdiscovery.estimation.estimators import ESTIMATORS
from taskdiscovery.reporting import estimate_page, figures
from taskdiscovery.reporting.estimatewords import MOVING, RULES, claims, misses
from taskdiscovery.types import Estimate

EVIL = "<script>alert(1)</script>"


def row(name, accuracy, half=0.03, covers="images and runs", **more):
    """A row of an estimator; None for one that is refused."""
    told = accuracy is not None
    return {
        "estimator": name,
        "accuracy": accuracy,
        "low": accuracy - half if told else None,
        "high": accuracy + half if told else None,
        "level": 0.9,
        "covers": covers if told else "",
        "recommended": name == "held-out",
        "refused": "" if told else "needs 2 runs",
        "words": f"what {name} is",
        "source": "somebody, 2020",
        **more,
    }


def class_row(name, accuracy, half=0.05, **more):
    own = row(name, accuracy, half)
    kept = {key: own[key] for key in ("accuracy", "low", "high", "level", "covers", "refused")}
    return {"class": name, "images": 50, "calibration": 100, **kept, "bound": 0.95, **more}


def task_row(name, low, high, **more):
    own = {"task": name, "association": 0.8, "parted": 0.1, "accuracy_parted": None}
    return {**own, "accuracy_together": 0.9, "low": low, "high": high, "explained": True, **more}


def ends(*tasks):
    rows = sorted(tasks, key=lambda own: own["low"])
    top = max(rows, key=lambda own: own["high"])
    named = {"low_task": rows[0]["task"], "high_task": top["task"]}
    return {"low": rows[0]["low"], "high": top["high"], **named, "level": 0.95, "tasks": rows}


def made(values=None, classes=None, **more):
    """An estimate made by hand, of a held-out accuracy of 0.9."""
    figures_of = {"held-out": 0.9} | dict.fromkeys(MOVING, 0.9) | (values or {})
    rows = [own if isinstance(own, dict) else row(name, own) for name, own in figures_of.items()]
    own = {
        "data": "folder:photos",
        "on": "folder:new",
        "target": "label",
        "learner": "convnet",
        "runs": 4,
        "images": 400,
        "calibration": 300,
        "trained": 900,
        "seen": 0,
        "grouped": False,
        "held_out": 0.9,
        "recommended": "held-out",
        "why": "a table says so",
        "bound": 0.95,
        "estimators": pd.DataFrame(rows),
        "per_class": pd.DataFrame(classes or [class_row("ant", 0.9), class_row("bee", 0.88)]),
    }
    return Estimate(**{**own, **more})


def said(found, name):
    own = claims(found).get(name)
    return None if own is None else (own.holds, own.text)


def test_the_estimators_that_are_named_by_the_rules_exist():
    assert set(MOVING) <= set(ESTIMATORS)
    assert len({rule.__name__ for rule in RULES}) == len(RULES)


def test_what_the_interval_covers():
    holds, text = said(made(), "recommended")
    assert holds
    assert "0.900, with a 90% interval from 0.870 to 0.930" in text
    assert "which images and which runs were drawn" in text
    grouped = made({"held-out": row("held-out", 0.9, covers="groups and runs")})
    assert "which groups and which runs" in said(grouped, "recommended")[1]
    holds, text = said(made({"held-out": row("held-out", 0.9, covers="images")}), "recommended")
    assert not holds
    assert "not how runs differ: 4 runs cannot tell" in text
    holds, text = said(made({"held-out": row("held-out", 0.9, covers="labelings")}), "recommended")
    assert holds is None
    assert "missed elsewhere (labelings)" in text


def test_the_bound_contradicts_or_does_not():
    holds, text = said(made(), "bounded")
    assert not holds
    assert "on 90.0% of these images" in text
    assert "does not contradict" in text
    holds, text = said(made(bound=0.8), "bounded")
    assert holds
    assert "below the interval of held-out" in text
    holds, text = said(made(bound=0.88), "bounded")
    assert not holds
    assert "within its interval" in text
    holds, text = said(made(bound=None, runs=1), "bounded")
    assert holds is None
    assert "one run" in text


def test_estimators_that_move_say_whether_the_images_differ():
    holds, text = said(made(), "moved")
    assert not holds
    assert "None of the 4 estimators" in text
    both = made({"threshold-entropy": 0.7, "confidence-difference": 0.96})
    holds, text = said(both, "moved")
    assert holds
    assert "1 is clearly below and 1 is clearly above" in text
    assert "(threshold-entropy, confidence-difference)" in text
    wide = made({"threshold-entropy": row("threshold-entropy", 0.7, 0.25)})
    assert not said(wide, "moved")[0]
    none = made(dict.fromkeys(MOVING))
    assert said(none, "moved") is None


def test_classes_that_fare_worse_are_named():
    assert not said(made(), "by_class")[0]
    classes = [class_row("ant", 0.6), class_row("bee", None), class_row("cow", 0.95)]
    holds, text = said(made(classes=classes), "by_class")
    assert holds
    assert "those taken for ant (0.60). 1 class has no figure" in text
    holds, text = said(made(classes=[class_row("ant", None), class_row("bee", None)]), "by_class")
    assert not holds
    assert "Of no predicted class" in text
    assert "2 classes have" in text


def test_a_range_is_wide_or_narrow_or_there_is_none():
    wide = made(range=ends(task_row("t1", 0.1, 0.8), task_row("t2", 0.3, 0.93)))
    holds, text = said(wide, "ranged")
    assert holds
    assert "as low as 0.100 (t1) and as high as 0.930 (t2)" in text
    assert "nothing in between can be excluded" in text
    narrow = made(range=ends(task_row("t1", 0.8, 0.9)))
    holds, text = said(narrow, "ranged")
    assert not holds
    assert "this task puts little in doubt" in text
    assert "give the tasks of a discovery" in said(made(), "ranged")[1]
    assert "None of the tasks that were given" in said(made(config={"from": "runs/a"}), "ranged")[1]
    assert said(wide, "explained")[0]
    odd = made(range=ends(task_row("t1", 0.1, 0.8, explained=False), task_row("t2", 0.3, 0.9)))
    holds, text = said(odd, "explained")
    assert not holds
    assert "For t1 no share" in text
    assert said(made(), "explained") is None


def test_the_truth_is_held_or_missed_or_of_other_images():
    truth = {"accuracy": 0.91, "images": 400, "unknown": 0}
    holds, text = said(made(truth=truth), "true")
    assert holds
    assert "holds it (0.010 from the estimate)" in text
    narrow = ends(task_row("t1", 0.3, 0.9))
    shifted = made(truth={**truth, "accuracy": 0.4}, range=narrow)
    holds, text = said(shifted, "true")
    assert not holds
    assert "misses by 0.500" in text
    assert "The range over tasks holds it." in text
    outside = made(truth={**truth, "accuracy": 0.2}, range=narrow)
    assert "does not hold it." in said(outside, "true")[1]
    holds, text = said(made(truth={**truth, "images": 390, "unknown": 10}), "true")
    assert holds is None
    assert "10 others" in text
    assert said(made(), "true") is None
    found = misses(made({"confidence": 0.5, "agreement": None}, truth=truth))
    assert found[-1] == {"estimator": "confidence", "miss": pytest.approx(-0.41)}
    assert "agreement" not in [own["estimator"] for own in found]
    assert misses(made()) == []


def test_what_was_left_out_is_counted():
    assert said(made(), "left_out") is None
    assert said(made(seen=3), "left_out")[1].startswith("3 images of it are left out")
    assert "of a group with one" in said(made(seen=1, grouped=True), "left_out")[1]


def test_a_page_has_every_sentence_and_the_truth_comes_last():
    found = made(
        {"agreement": None},
        range=ends(task_row("t1", 0.1, 0.8), task_row("t2", 0.3, 0.93)),
        truth={"accuracy": 0.5, "images": 400, "unknown": 0},
        seen=2,
    )
    page = estimate_page(found)
    for name, claim in claims(found).items():
        assert claim.text in page, name
    assert page.index(claims(found)["true"].text) > page.index("What cannot be excluded")
    assert "0.500" not in page[: page.index("Looked at after all else")]
    assert "agreement (needs 2 runs)" in page
    assert page.index(">held-out</text>") < page.index(f">{MOVING[0]}</text>")  # the first row
    assert ">held-out 0.90</text>" in page  # its line
    assert "Looked at after all else" not in estimate_page(replace(found, truth=None))
    assert "<dt>At most</dt>" in page
    assert "<dt>At most</dt>" not in estimate_page(replace(found, bound=None))


def test_names_are_inert_and_many_classes_and_tasks_are_folded():
    classes = [class_row(f"{EVIL}{c}", 0.5 + c / 100) for c in range(40)]
    tasks = [task_row(f"t{i}{EVIL}", i / 100, 0.9 + (i == 35) / 20) for i in range(36)]
    page = estimate_page(
        made(classes=classes, on=f"folder:{EVIL}", target=EVIL, range=ends(*tasks))
    )
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "<summary>All 40 classes</summary>" in page
    assert "16 more are in the table" in page  # of the classes
    assert "12 more are in the table" in page  # of the tasks
    figure = page[page.index("Accuracies that each task leaves open") :].split("</svg>")[0]
    assert "t35" in figure  # which gives the highest end


def test_a_row_without_a_mean_has_no_dot():
    rows = [{"name": "t", "mean": None, "low": 0.12, "high": 0.9}]
    drawn = str(figures.intervals(rows, low=0.0, label="x"))
    assert "<circle" not in drawn
    assert ">0.12–0.90</text>" in drawn


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("estimate")
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 1500)
    rows = rng.normal(size=(1500, 6)) + 2 * kind[:, None] * (np.arange(6) == 0)
    names = np.array([EVIL, "b"])[kind]
    for file, some in (("here", slice(0, 1400)), ("there", slice(1400, None))):
        frame = pd.DataFrame(rows[some], columns=[f"f{i}" for i in range(6)])
        frame.assign(label=names[some]).to_csv(place / f"{file}.csv", index=False)
    words = [
        "estimate",
        f"features:{place / 'here.csv'}",
        "--on",
        f"features:{place / 'there.csv'}",
    ]
    assert main([*words, "--threads", "1", "--quiet", "--out", str(place / "run")]) == 0
    return place / "run"


def test_report_writes_the_page_of_a_run_and_reads_no_image(run, capsys):
    (run.parent / "here.csv").rename(run.parent / "moved.csv")
    assert main(["show", str(run)]) == 0
    assert f"next: taskdiscovery report {run}" in capsys.readouterr().out
    assert main(["report", str(run)]) == 0
    path = run / "estimate.html"
    assert capsys.readouterr().out.strip() == str(path)
    (run.parent / "moved.csv").rename(run.parent / "here.csv")
    assert main(["report", str(run)]) == 0
    page = path.read_text("utf-8")
    assert "taskdiscovery estimate features:" in page
    assert "Looked at after all else" in page
    assert not (run / "report.html").exists()
    assert main(["verify", str(run)]) == 0
    capsys.readouterr()
    assert main(["show", str(run)]) == 0
    shown = capsys.readouterr().out
    assert str(path) in shown
    assert "next: taskdiscovery report" not in shown


def test_an_estimate_is_reported_alone_and_needs_no_data(run, tmp_path):
    found = td.open_run(run).estimate
    page = td.report(tmp_path / "r.html", None, found).read_text("utf-8")
    assert "What can be told of ridge" in page
    assert "taskdiscovery report" not in page  # there is no run to name
    with pytest.raises(td.DataError, match="an estimate has a page of its own"):
        td.report(tmp_path / "r.html", None, found, found)


def test_a_damaged_estimate_is_told_of(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "estimate.json"
    path.write_text(path.read_text("utf-8").replace('"calibration"', '"calibrated"'))
    with pytest.raises(td.RunDirError, match="is damaged"):
        td.open_run(tmp_path / "run").estimate  # noqa: B018
    assert main(["report", str(tmp_path / "run")]) == 4


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1600, "light")])
def test_a_browser_opens_it(tmp_path, width, scheme):
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    classes = [class_row(f"a class of a very long name, number {c}", 0.7) for c in range(30)]
    tasks = ends(*[task_row(f"task_{i:03d}", i / 20, 0.9) for i in range(8)])
    truth = {"accuracy": 0.5, "images": 400, "unknown": 0}
    found = made(classes=classes, range=tasks, truth=truth, on="folder:" + "long/" * 40)
    path = td.report(tmp_path / "r.html", None, found)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = opened.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        messages = []
        page.on("console", lambda message: messages.append(message.text))
        page.goto(path.as_uri())
        assert messages == []
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
        assert page.locator("svg.figure").count() == 3
        # No name is cut off by the left edge of its figure, no number by the right one.
        spilt = page.locator("svg.figure").evaluate_all(
            "fs => fs.flatMap(f => [...f.querySelectorAll('text')].filter(t => {"
            "const b = t.getBBox(); return b.x < 0 || b.x + b.width > 760})"
            ".map(t => t.textContent))"
        )
        assert spilt == []
        opened.close()
