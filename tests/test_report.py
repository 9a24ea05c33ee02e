"""The report: hostile names stay text, nothing is asked of the network, a browser is content."""

import re
import shutil

import numpy as np
import pytest
from markupsafe import escape

import taskdiscovery as td
from taskdiscovery import data
from taskdiscovery.errors import DataError
from taskdiscovery.reporting import figures, write_report_of_run
from taskdiscovery.reporting.finding import finding
from taskdiscovery.reporting.page import _first
from taskdiscovery.reporting.scoreview import ScoreView, memory_note
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.splits import words

EVIL = "</script><script>document.title='owned'</script>"
OPTIONS = {"learner": "convnet?width=0.25", "threads": 1, "batch": 64, "epochs": 2}


@pytest.fixture(scope="module")
def report(tmp_path_factory, digits):
    """A report on data whose names are hostile."""
    root = tmp_path_factory.mktemp("report")
    images, labels = digits.images[::3], digits.labels[::3]
    ids = [f"{i}{EVIL}" for i in range(len(images))]
    classes = [f"<img src=x onerror=alert({c})>{EVIL}" for c in range(10)]
    np.savez(
        root / "d.npz",
        images=images,
        labels=np.array([classes[c] for c in labels]),
        ids=ids,
        classes=[],
    )
    spec = f"npz:{root / 'd.npz'}"
    run = root / "run"
    method = td.Power(iterations=2)
    td.discover(spec, out=run, method=method, tasks=4, encoder_epochs=2, **OPTIONS)
    dataset = td.load(spec)
    td.score(dataset, str(run), preset="smoke", out=run, **OPTIONS)
    td.split(dataset, "label:0,1,2,3,4", str(run), preset="smoke", out=run, **OPTIONS)
    td.analyze(dataset, run, threads=1, out=run)
    return write_report_of_run(td.open_run(run), None, Callbacks())


def test_faults_58_to_60_names_are_inert_and_nothing_is_fetched(report):
    page = report.read_text("utf-8")
    assert "&lt;img src=x" in page
    assert "<img" not in page
    assert page.count("<script>") == 1
    assert not re.search(r"(?:src|href)=[\"']?(?!#)[^\"'#]", page.replace("src=x", ""))
    assert "http://" not in page
    assert "https://" not in page
    assert len(page) < 2_000_000


def test_a_split_is_shown_with_what_stands_beside_its_figures(report):
    page = report.read_text("utf-8")
    section = page[page.index('<section id="split-0"') :].split("</section>")[0]
    found = td.open_run(report.parent).split
    assert words.claims(found)
    for claim in words.claims(found):
        assert str(escape(claim.text)) in section, claim.name
    for heading in ("covers", "balanced", "worst class", "worst group", "majority", "runs"):
        assert f'<th scope="col">{heading}</th>' in section
    shown = [row for row in found.sides if row["q"] < 0.05][:12]
    assert section.count("<td>all classes</td>") == sum(not row["among"] for row in shown)


def test_other_images_are_refused(report):
    with pytest.raises(DataError, match="not the images that were searched"):
        write_report_of_run(td.open_run(report.parent), "digits", Callbacks())


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    api = pytest.importorskip("playwright.sync_api")

    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_opens_it(browser, report, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    messages, requests = [], []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.as_uri())
    assert messages == []
    assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]
    assert page.title().startswith("What convnet?width=0.25 finds easy")
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0
    assert (
        page.locator(".cell").first.evaluate("e => getComputedStyle(e).backgroundImage") != "none"
    )
    page.close()


def test_sorting_and_filtering(browser, report):
    page = browser.new_page()
    page.goto(report.as_uri())

    def shown():
        return page.locator(".card:visible").evaluate_all("cs => cs.map(c => c.dataset.name)")

    def agreements():
        return page.locator(".card").evaluate_all("cs => cs.map(c => Number(c.dataset.agreement))")

    assert shown() == ["task_000", "task_001", "task_002", "task_003"]
    page.select_option("#sort", "agreement")
    assert agreements() == sorted(agreements(), reverse=True)
    page.select_option("#sort", "doubt")
    assert agreements() == sorted(agreements())
    verdict = page.locator("#task_001 .verdict").inner_text()
    page.fill("#filter", verdict[:25])
    assert "task_001" in shown()
    page.fill("#filter", "002")
    assert shown() == ["task_002"]
    assert page.locator("#count").inner_text() == "1 of 4 tasks"
    page.close()


def test_pictures_are_of_unseen_images_and_in_order(digits):
    from taskdiscovery.reporting.pictures import Sheet, surest

    scores = np.linspace(-1, 1, 1797)
    rows = np.arange(0, 1797, 7)
    chosen = surest(scores, rows)
    assert chosen.tolist() == sorted(rows, reverse=True)[:12]
    sheet = Sheet(images=digits.images, ids=digits.ids)
    sheet.add("surest", chosen)
    sheet.add("none", np.array([], dtype=np.int64))
    assert [row.heading for row in sheet.rows] == ["surest"]
    assert sheet.sprite().startswith("data:image/png;base64,")
    coloured = data.from_arrays(np.random.default_rng(0).random((20, 100, 100, 3)))
    wide = Sheet(images=coloured.images, ids=coloured.ids)
    wide.add("all", np.arange(12))
    assert wide.sprite().startswith("data:image/jpeg;base64,")


def test_cards_can_be_hidden_and_shown_again(browser, report):
    page = browser.new_page()
    page.goto(report.as_uri())
    page.locator("#task_001 .hide").click()
    assert page.locator(".card:visible").count() == 3
    assert page.locator("#count").inner_text() == "3 of 4 tasks"
    page.locator("#all").click()
    assert page.locator(".card:visible").count() == 4
    assert not page.locator("#all").is_visible()
    page.locator("#task_000 summary").click()
    assert page.locator("#task_000 .bars").first.is_visible()
    page.close()


def test_the_keyboard_reaches_everything(browser, report):
    page = browser.new_page()
    page.goto(report.as_uri())
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"skip", "sort", "filter", "hide"} <= reached
    unnamed = page.locator("button, select, input").evaluate_all(
        "es => es.filter(e => !e.ariaLabel && !e.innerText && !e.labels.length).length"
    )
    assert unnamed == 0
    page.close()


def test_thirty_two_tasks_stay_under_eight_megabytes(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (900, 32, 32, 3), dtype=np.uint8)  # noise: the worst to compress
    np.savez(tmp_path / "d.npz", images=images, labels=np.arange(900) % 2)
    run = tmp_path / "run"
    options = {"method": "spectral", "tasks": 32, "threads": 1, "learner": "convnet?width=0.25"}
    td.discover(f"npz:{tmp_path / 'd.npz'}", out=run, **options)
    td.analyze(None, run, threads=1, probe_images=100, out=run)
    report = write_report_of_run(td.open_run(run), None, Callbacks())
    assert report.stat().st_size < 8_000_000


@pytest.mark.parametrize("width", [400, 1600])
def test_a_browser_opens_that_of_splits_alone_and_of_several_scores(browser, width, tmp_path):
    options = {"preset": "smoke", "learner": "linear", "epochs": 1, "runs": 2, "callbacks": ()}
    data = td.load("shapes?n=240&size=8")
    place = tmp_path / "run"
    found = td.discover(data, method="spectral", tasks=2, learner="linear", callbacks=())
    for target in ("label:disc", "label:disc,cross"):
        td.split(data, target, found, out=place, controls=["random"], **options)
    for _ in range(2):
        td.score(data, "label", out=place, **options)
    opened = td.open_run(place)
    pages = [write_report_of_run(opened, "shapes?n=240&size=8", Callbacks())]
    splits = opened.splits.values()
    pages.append(td.report(tmp_path / "r.html", data, found, opened.scores, *splits))
    for path in pages:
        page, messages = browser.new_page(viewport={"width": width, "height": 900}), []
        page.on("console", lambda message, told=messages: told.append(message.text))
        page.on("pageerror", lambda error, told=messages: told.append(str(error)))
        page.goto(path.as_uri())
        assert messages == []
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
        pictures = page.locator("section[id^=split] .cell")
        assert pictures.count() >= 2 * 24
        assert pictures.first.evaluate("e => getComputedStyle(e).backgroundImage") != "none"
        page.close()


# --- words that follow from numbers ---


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"kappa": 0.24, "chance": 0.5, "low": 0.58}, "agreement by memory alone (κ 0.24)"),
        (
            {"kappa": 0.01, "chance": 0.98, "low": 0.97},
            "not clearly above the 0.98 that class rates give (κ 0.01)",
        ),
        ({"kappa": None, "chance": 1.0, "low": 1.0}, "every run names one class alone"),
        ({"kappa": float("nan"), "chance": 1.0, "low": 1.0}, "every run names one class alone"),
    ],
)
def test_random_labels_are_known_by_heart_only_where_kappa_says_so(row, words):
    assert memory_note(row) == words


def test_lopsided_random_labels_are_not_said_to_be_remembered():
    """Labels of which 97 % are alike: runs of ridge agree, and have learnt nothing."""
    rng = np.random.default_rng(0)
    data = td.load(rng.normal(size=(600, 8)), labels=(rng.random(600) < 0.03).astype(int))
    scores = td.score(data, "label", learner="ridge", preset="smoke", callbacks=())
    row = scores["random"].to_row()
    assert row["agreement"] > 0.95
    assert "memory" not in memory_note(row)
    view = ScoreView(scores, ("label",), "ridge", 600, "rows")
    text = finding(view, {}, discovered=False)
    assert "agree on no labeling clearly more than on random labels" in text
    assert "of which class rates alone give 1.00" in text


def test_tasks_are_shown_first_by_a_rule_that_is_named():
    found = {"a": 0.7, "b": 0.9, "c": 0.8, "d": None}
    tasks = [{"name": name, "agreement": value} for name, value in found.items()]
    shown = _first(tasks)
    assert shown["heading"] == "The three tasks on which runs agree most"
    assert [task["name"] for task in shown["tasks"]] == ["b", "c", "a"]
    plain = _first([{**task, "agreement": None} for task in tasks[:2]])
    assert plain["heading"] == "The two tasks that were found first"
    assert _first([]) is None


def test_names_of_references_are_never_written_over_each_other():
    near = {"classes 0,1,2,3,4": 0.61, "random labels": 0.60, "male": 0.605, "far": 0.95}
    rows = [{"name": "task_000", "mean": 0.9, "low": 0.8, "high": 0.95}]
    drawn = figures.intervals(rows, low=0.5, references=near, label="x")
    found = re.findall(r'reference-name[^>]*x="([\d.]+)" y="(\d+)"[^>]*>([^<]*)<', str(drawn))
    boxes = [(float(x) - 3 * len(t), float(x) + 3 * len(t), int(y)) for x, y, t in found]
    assert len(boxes) == 4
    for i, (left, right, line) in enumerate(boxes):
        for other_left, other_right, other_line in boxes[:i]:
            assert line != other_line or right < other_left or left > other_right
    assert boxes[3][2] == boxes[0][2]  # one that is far stands on the first line
    top = min(int(y) for y in re.findall(r'class="grid"[^>]*y1="(\d+)"', str(drawn)))
    assert top > max(line for _, _, line in boxes)
    alone = figures.intervals(rows, low=0.5, references={"random labels": 0.6}, label="x")
    assert 'y="14"' in str(alone)


def test_rows_of_features_are_not_called_images(tmp_path):
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 400)
    data = td.load(rng.normal(size=(400, 6)) + 9 * kind[:, None], labels=kind)
    found = td.discover(data, method=td.Pursuit(starts=60), tasks=1, threads=1, callbacks=())
    scores = td.score(data, found, preset="smoke", threads=1, callbacks=())
    page = td.report(tmp_path / "r.html", data, found, scores).read_text("utf-8")
    lead = re.search(r'class="lead">([^<]*)<', page)[1]
    assert "400 rows" in lead
    assert "image" not in lead
    assert "share of unseen rows" in page


def test_intervals_say_what_they_cover(report):
    page = report.read_text("utf-8")
    assert re.search(r"agreement, 0\.\d+ to [01]\.\d+ over images</span>", page)
