"""The report: hostile names stay text, nothing is asked of the network, a browser is content."""

import re
import shutil

import numpy as np
import pytest
from markupsafe import escape

import taskdiscovery as td
from taskdiscovery import data
from taskdiscovery.errors import DataError
from taskdiscovery.reporting import write_report_of_run
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
    section = page[page.index('<section id="split"') :].split("</section>")[0]
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
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
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
