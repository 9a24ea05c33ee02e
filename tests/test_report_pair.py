"""Two runs side by side, and what a page lets people save."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import taskdiscovery as td
from taskdiscovery.cli.main import main

EVIL = "</script><script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of the same images, one of which is scored; names of images are hostile."""
    root = tmp_path_factory.mktemp("runs")
    data = td.load("shapes?n=160&size=8", callbacks=())
    ids = np.array([f"{i}{EVIL}" for i in range(160)])
    labels = np.array(data.classes)[data.labels]
    np.savez(root / "d.npz", images=data.images, labels=labels, ids=ids)
    spec = f"npz:{root / 'd.npz'}"
    brief = {"learner": "linear", "epochs": 1, "threads": 1, "batch": 64, "callbacks": ()}
    for name, tasks in (("one", 2), ("two", 3)):
        td.discover(spec, method=td.Spectral(), tasks=tasks, out=root / name, **brief)
    td.score(spec, str(root / "one"), preset="smoke", out=root / "one", **brief)
    return root


@pytest.fixture(scope="module")
def page(runs):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(runs)
        assert main(["report", "one", "two", "--quiet"]) == 0
    return runs / "report-one-two.html"


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


def test_both_runs_are_shown_and_their_tasks_compared(page, runs):
    text = page.read_text("utf-8")
    assert "one beside two" in text
    assert "Runs of linear agree on" in text
    assert "3 tasks were found, and none is scored" in text
    assert "<script>document" not in text
    assert text.count("<script>") == 1
    a, b = (td.open_run(runs / name).tasks for name in ("one", "two"))
    unseen = ~a.seen_N & ~b.seen_N
    labels = a.labels_ND[unseen][:, [0]], b.labels_ND[unseen]
    same = (labels[0] == labels[1]).mean(axis=0)
    values = [f"{max(v, 1 - v):.2f}" for v in same]
    cells = text[text.index('<th scope="row">task_000</th>') :].split("</tr>")[0]
    assert all(f">{value}</td>" in cells for value in values)
    assert "Options that differ" in text
    assert not (runs / "one" / "report.html").exists()


def test_runs_of_one_name_are_told_apart_and_others_images_are_not_compared(runs, tmp_path):
    brief = {"learner": "linear", "epochs": 1, "threads": 1, "callbacks": ()}
    data = td.load("shapes?n=120&size=8&seed=3", callbacks=())
    td.discover(data, method=td.Spectral(), tasks=1, out=tmp_path / "x" / "one", **brief)
    from taskdiscovery.reporting import write_report_of_two

    both = (td.open_run(runs / "one"), td.open_run(tmp_path / "x" / "one"))
    own = td.load(f"npz:{runs / 'd.npz'}", callbacks=())
    text = write_report_of_two(tmp_path / "p.html", both, (own, data)).read_text("utf-8")
    assert "x/one" in text
    assert "of other images, so that their tasks are not compared" in text
    with pytest.raises(td.DataError, match="not the images"):
        write_report_of_two(tmp_path / "q.html", both, (data, data))


def test_two_runs_in_python_and_what_is_refused(runs, tmp_path, capsys):
    both = [td.open_run(runs / name) for name in ("one", "two")]
    data = td.load(f"npz:{runs / 'd.npz'}", callbacks=())
    assert "one beside two" in td.report(tmp_path / "p.html", data, *both).read_text("utf-8")
    assert main(["report", str(runs / "one"), "--out", "x.html"]) == 2
    assert "the page of two runs" in capsys.readouterr().err
    assert main(["report", str(runs / "one"), str(runs / "two"), "--split", "a"]) == 2
    assert main(["report", str(runs / "one"), str(runs / "none")]) == 4


@pytest.mark.parametrize("width", [400, 1500])
def test_a_browser_opens_it(browser, page, width):
    shown = browser.new_page(viewport={"width": width, "height": 900})
    messages = []
    shown.on("console", lambda message: messages.append(message.text))
    shown.on("pageerror", lambda error: messages.append(str(error)))
    shown.goto(page.as_uri())
    assert messages == []
    assert shown.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    shown.close()


def test_pictures_names_and_tables_are_saved(browser, runs):
    data = td.load(f"npz:{runs / 'd.npz'}", callbacks=())
    run = td.open_run(runs / "one")
    path = td.report(runs / "own.html", data, run)
    shown = browser.new_page(accept_downloads=True)
    shown.goto(path.as_uri())

    def saved(selector):
        with shown.expect_download() as started:
            shown.locator(selector).first.click()
        return started.value.suggested_filename, Path(started.value.path()).read_bytes()

    name, content = saved("#task_000 .pictures")
    assert (name, content[:4]) == ("task_000.png", b"\x89PNG")
    name, content = saved("#task_000 .listed")
    rows = content.decode("utf-8").splitlines()
    assert name == "task_000-names.csv"
    assert rows[0] == "row,column,name"
    first = run.tasks.surest(0, 0, 1)[0]
    assert rows[1] == f"surest of class 0,1,{data.ids[first]}"
    name, content = saved("main > section:last-of-type button.save")
    assert name.startswith("table-")
    assert b"fingerprint," in content
    shown.close()


def test_a_printed_page_has_no_buttons_and_hides_nothing(browser, runs):
    data = td.load(f"npz:{runs / 'd.npz'}", callbacks=())
    path = td.report(runs / "printed.html", data, td.open_run(runs / "one"))
    shown = browser.new_page(color_scheme="dark")
    shown.goto(path.as_uri())
    shown.emulate_media(media="print", color_scheme="dark")
    assert not any(button.is_visible() for button in shown.locator("button").all())
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    shown.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert shown.locator("details:not([open])").count() == 0
    shown.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert shown.pdf()[:5] == b"%PDF-"
    shown.close()
