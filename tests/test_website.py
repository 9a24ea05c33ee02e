"""The site's pages and the code say the same; no page asks outside, and links lead somewhere.

MkDocs and Jupyter are not needed here: `make docs` builds the site and checks all of it.
"""

import argparse
import base64
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from website import check, commands, gallery, links, notebooks, pictures, rundir

import taskdiscovery as td
from taskdiscovery.cli.parser import COMMANDS, build

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
PAGES = sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))


def in_nav(entries):
    for entry in entries:
        for value in entry.values():
            if isinstance(value, str):
                yield value
            else:
                yield from in_nav(value)


def test_every_page_is_in_the_navigation_and_every_entry_is_a_page():
    made = [f"tutorials/{name}.md" for name in notebooks.names()]
    assert sorted(in_nav(CONFIG["nav"])) == sorted([*PAGES, *made])
    assert len(made) == 3


def test_warnings_are_errors_and_nothing_is_fetched():
    assert CONFIG["strict"] is True
    assert CONFIG["theme"]["font"] is False
    assert CONFIG["validation"]["links"]["anchors"] == "warn"
    scripts = [*CONFIG.get("extra_javascript", []), *CONFIG["extra"]["polyfills"]]
    for file in [*scripts, *CONFIG["extra_css"], CONFIG["theme"]["favicon"]]:
        assert (DOCS / file).exists()


@pytest.mark.parametrize("page", PAGES)
def test_no_page_asks_outside(page):
    """A picture, a frame, a script or a diagram whose library would come from elsewhere."""
    text = (DOCS / page).read_text("utf-8")
    assert not re.search(r"!\[[^]]*\]\(https?:", text)
    assert not check.asks_outside(text)
    assert "```mermaid" not in text


def test_the_command_line_is_described_as_the_parser_has_it():
    page = commands.page()
    assert re.findall(r"^## (\w+)", page, re.M) == list(COMMANDS)
    [subparsers] = [a for a in build()._actions if isinstance(a, argparse._SubParsersAction)]
    for name, parser in subparsers.choices.items():
        section = page.split(f"{{ #{name} }}\n")[1].split("\n## ")[0]
        for action in parser._actions:
            if not isinstance(action, argparse._HelpAction):
                for option in action.option_strings or [f"`{commands._metavar(action)}`"]:
                    assert option in section, (name, option)


def test_every_name_that_the_package_exports_is_in_the_reference():
    text = "".join(page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md"))
    for name in td.__all__:
        assert re.search(rf"::: taskdiscovery[\w.]*\.{name}$|members: .*\b{name}\b", text, re.M), (
            name
        )


def test_bars_and_stars_of_a_help_text_do_not_break_its_table():
    action = argparse.Action(["--x"], "x", metavar="a|b", help="a|b or *all* of `c|d`")
    assert commands._row(action) == r"| `--x a|b` | a\|b or \*all\* of `c|d` |"


def test_files_of_a_run_are_described_with_columns_and_remedies(tmp_path):
    (tmp_path / "scores/tasks").mkdir(parents=True)
    table = pd.DataFrame({"task": ["a"], "agreement": [0.5]})
    table.to_parquet(tmp_path / "scores/tasks/scores.parquet")
    (tmp_path / "cues.csv").write_text("view,unique\ncorner,0.1\n")
    (tmp_path / "result.json").write_text(json.dumps({"data": {"images": 3}, "tasks": [{"n": 1}]}))
    (tmp_path / "config.yaml").write_text("tasks: 3\nlearner: convnet\n")
    (tmp_path / ".lock").write_text("")
    page = rundir.page(tmp_path)
    assert "| `agreement` | double |" in page
    assert "score again: `taskdiscovery score --from RUN`" in page
    assert "| `unique` | text |" in page
    assert "| `data.images` | a whole number |" in page
    assert "| `tasks` | a list of documents: `n` |" in page
    assert "| `learner` | a text |" in page
    assert ".lock" not in page


# --- notebooks ---


@pytest.mark.parametrize("name", notebooks.names())
def test_notebooks_are_kept_without_outputs(name):
    notebook = json.loads((notebooks.SOURCES / f"{name}.ipynb").read_text("utf-8"))
    for cell in notebook["cells"]:
        assert not cell.get("outputs")
        if cell["cell_type"] == "code":
            compile("".join(cell["source"]), name, "exec")


def executed(outputs, missing=()):
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "\n", "words"]},
        {"cell_type": "code", "source": ["print(1)"], "outputs": outputs},
    ]
    own = {"missing": list(missing), "seconds": 3, "state": "x"}
    return json.dumps({"cells": cells, "metadata": {"taskdiscovery": own}})


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "MADE", tmp_path)
    (tmp_path / "notebooks").mkdir()
    return tmp_path / "notebooks" / "one.ipynb"


def test_a_notebook_becomes_a_page_with_its_outputs(kept):
    frame = {"data": {"text/html": "<table>\n\n<tr></tr></table>", "text/plain": "x"}}
    picture = {"data": {"image/png": base64.b64encode(b"PNG").decode()}}
    outputs = [
        {"output_type": "stream", "text": ["1\n", "2\n"]},
        {"output_type": "execute_result", **frame},
        {"output_type": "display_data", **picture},
    ]
    kept.write_text(executed(outputs))
    page = notebooks.render("one")
    assert page.markdown.startswith("# Title\n\nwords\n\n*Executed when this site was built, in 3")
    assert "```python\nprint(1)\n```" in page.markdown
    assert "```{.text .output}\n1\n2\n```" in page.markdown
    assert '<div class="output">\n<table>\n<tr></tr></table>\n</div>' in page.markdown
    assert page.files == {"one_files/1_2.png": b"PNG"}
    assert "![](one_files/1_2.png)" in page.markdown


def test_a_notebook_that_was_not_executed_says_so(kept):
    kept.write_text(executed([], ["some_backbone"]))
    page = notebooks.render("one").markdown
    assert "Not executed in this build" in page
    assert "`some_backbone` is not installed" in page


def test_a_report_that_cannot_be_made_is_left_out_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "MADE", tmp_path)
    made = tmp_path / "made.html"
    made.write_text("<p>report</p>")
    reports = [
        gallery.Report("one", "The one", "Words.", made, "`a command`"),
        gallery.Report(
            "two", "The other", "Words.", tmp_path / "no.html", "…", needs="some_module"
        ),
    ]
    monkeypatch.setattr(gallery, "_REPORTS", tuple(reports))
    gallery.collect()
    page = gallery.page()
    assert 'src="gallery/one.html"' in page
    assert "gallery/two.html" not in page
    assert "Not made in this build, for want of a module: The other." in page
    made.unlink()
    with pytest.raises(FileNotFoundError):  # one that needs nothing has to be there
        gallery.collect()


def test_the_commands_of_the_gallery_are_understood():
    for line in gallery._COMMANDS:
        build().parse_args(shlex.split(line))
    assert gallery._COMMANDS[-1] == "report digits"


# --- links ---


@pytest.mark.parametrize(
    ("link", "becomes"),
    [
        ("[data](data.md#pixels)", "[data](data.md#pixels)"),
        ("[it](tutorials/split.ipynb#split)", "[it](tutorials/split.md#split)"),
        ("[it](tutorials/split.ipynb){download}", "[it](tutorials/split.ipynb){download}"),
        ("[code](../CONTRIBUTING.md)", "code (`CONTRIBUTING.md`)"),
        ("[file](../README.md)", "`README.md`"),
        ("![a picture](../README.md)", "*(a picture: `README.md` in the repository)*"),
        ("[paper](https://arxiv.org)", "[paper](https://arxiv.org)"),
        ("```\n[x](../README.md)\n```", "```\n[x](../README.md)\n```"),
        (r"| `a \| b` \| c |", r"| `a | b` \| c |"),  # GitHub needs the first bar escaped, too
    ],
)
def test_links_fit_the_site(link, becomes):
    assert links.rewritten(link, "audit.md") == becomes


def test_a_link_to_nothing_outside_of_the_pages_is_an_error():
    with pytest.raises(FileNotFoundError):
        links.rewritten("[x](../no-such-file.json)", "audit.md")


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<img srcset="a.png 1x, https://example.com/b.png 2x">',
        "<style>@import 'https://example.com/x.css';</style>",
        '<p style="background: url(http://example.com/x.png)">',
        '<iframe src="https://example.com"></iframe>',
    ],
)
def test_what_asks_outside_is_seen(html):
    assert len(check.asks_outside(html)) == 1


def test_what_only_leads_outside_may_stay():
    html = '<a href="https://arxiv.org">paper</a><link rel="canonical" href="https://x.org/">'
    assert check.asks_outside(html) == []


def test_lost_links_anchors_and_style_sheets_are_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<h2 id="here"></h2><a href="b.html#there">1</a><a href="#here">2</a><a href="c.html">3</a>'
    )
    (tmp_path / "b.html").write_text('<h2 id="else"></h2><img src="no.png"><a href="a.html#here">')
    (tmp_path / "x.css").write_text("a { background: url(https://example.com/x.png) }")
    assert sorted(check.problems(tmp_path)) == [
        "a.html: b.html#there: no such anchor",
        "a.html: c.html: no such file",
        "b.html: no.png: no such file",
        "x.css asks https://example.com/x.png",
    ]


# --- pictures ---


def test_the_picture_of_power_iteration_shows_what_its_words_say():
    points, course, correlations = pictures.iterate()
    assert correlations[0] < 0.2
    assert correlations[-1] > 0.95
    final = course[-1]
    np.testing.assert_allclose(final.T @ final / len(points), np.eye(3), atol=1e-9)
