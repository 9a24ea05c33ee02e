"""What README and docs show is run as it stands, in a directory with a few photographs."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import taskdiscovery as td
from taskdiscovery.cli import main
from taskdiscovery.cli.parser import COMMANDS, build
from taskdiscovery.config import PRESETS, Preset
from taskdiscovery.discovery import DiscoverConfig
from taskdiscovery.executors import machine
from taskdiscovery.runtime import hardware
from taskdiscovery.store.layout import REMEDIES

ROOT = Path(__file__).parents[1]
START = ROOT / "docs/start.md"
PAGES = [ROOT / "README.md", START, *sorted(set((ROOT / "docs").rglob("*.md")) - {START})]
PAGES += [ROOT / "CONTRIBUTING.md"]


def _name(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page, language):
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    return [block for named, block in fenced if named == language]


def commands(page):
    """Every line of a block, and every span, that begins with the command's name."""
    text = page.read_text("utf-8")
    lines = [
        line
        for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
        for line in block.splitlines()
    ]
    lines += re.findall(r"`(taskdiscovery [^`]*)`", text.replace("\n", " "))
    return [line.split("  #")[0].strip() for line in lines if line.startswith("taskdiscovery ")]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two hundred photographs, and jobs that take a second in place of minutes."""
    rng = np.random.default_rng(0)
    for i in range(200):
        folder = tmp_path / "photos" / ("cat", "dog")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        colour, slope = rng.integers(30, 160, 3), np.linspace(-1, 1, 40)[:, None, None]
        grain = rng.integers(-12, 12, (40, 40, 3))
        pixels = (colour + rng.integers(-60, 60) * slope + grain + 30 * (i % 2)).clip(0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i:03d}.png")
    (tmp_path / "more").symlink_to(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(PRESETS, "quick", Preset(train_images=100, test_images=50, epochs=1))
    monkeypatch.setattr(machine, "cpu_cores", lambda: 1)
    monkeypatch.setattr(hardware, "cpu_cores", lambda: 1)
    settled = DiscoverConfig.with_epochs
    monkeypatch.setattr(DiscoverConfig, "with_epochs", lambda self, images: settled(self, 3000))
    return tmp_path


def run_examples(page):
    found = blocks(page, "python")
    for example in found:
        exec(compile(example, str(page), "exec"), {})
    return len(found)


def in_order(page):
    """The commands of a page's blocks, as they are to be typed."""
    lines = [line.split("  #")[0].strip() for b in blocks(page, "") for line in b.splitlines()]
    return [" ".join(line.split()) for line in lines if line.startswith("taskdiscovery ")]


@pytest.mark.slow
def test_start_runs_from_its_first_command_to_its_last_line_of_python(photos, capfd):
    lines = in_order(START)
    assert len(lines) >= 7
    for line in lines:
        assert main([*shlex.split(line)[1:], "--quiet"]) == 0, (line, capfd.readouterr().err)
    assert (photos / "runs/photos/report.html").exists()
    assert (photos / "runs/audit/audit.html").exists()
    assert {folder.name for folder in (photos / "drawn/images").iterdir()} == {"disc", "rest"}
    assert run_examples(START)
    assert (photos / "report.html").exists()


def test_the_readme_shows_what_start_runs():
    """Its commands are known to Start with the same options; its Python runs."""
    readme, start = in_order(ROOT / "README.md"), in_order(START)
    assert len(readme) >= 4
    for line in readme:
        assert any(set(line.split()) <= set(known.split()) for known in start), line
    [example] = blocks(ROOT / "README.md", "python")
    [known] = blocks(START, "python")
    for line in example.splitlines():
        if line and not line.startswith("td.report"):
            assert line.split("  #")[0] in known, line


@pytest.mark.parametrize("page", PAGES[2:], ids=_name)
def test_the_python_examples_of_the_other_pages_run(page, photos):
    run_examples(page)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_command_that_is_shown_is_understood(page):
    """Placeholders stand for values; options must exist and have values of their type."""
    for line in commands(page):
        words = shlex.split(re.sub(r"\[[^]]*\]", "", line).replace("…", ""))[1:]
        words = [w for w in words if w not in ("|", "head", "-1")]
        if (
            words
            and words[0] in COMMANDS
            and "--help" not in words
            and not any("=" in w for w in words[:1])
        ):
            build().parse_args([*words, *_missing(words)])


def _missing(words):
    """What the sentence around a command leaves out: DATA or RUN."""
    needed = {"label": 2, "verify": 1, "analyze": 1, "report": 1, "resume": 1, "info": 1}
    values = [w for w in words[1:] if not w.startswith("--")]
    return ["x"] * max(0, needed.get(words[0], 0) - len(values))


def test_every_file_of_a_run_is_described():
    page = (ROOT / "docs/run-directory.md").read_text("utf-8")
    for name in REMEDIES:
        assert f"`{name}`" in page, name


def test_every_name_that_the_package_exports_has_words():
    for name in td.__all__:
        assert (getattr(td, name).__doc__ or "").strip(), name


def test_links_of_the_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
