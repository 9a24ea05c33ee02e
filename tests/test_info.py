"""`info`: what was read, as a value, in a terminal, as JSON, as a page."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

import taskdiscovery as td
from taskdiscovery.cli.infoview import thumbnails
from taskdiscovery.cli.main import main


@pytest.fixture
def photos(tmp_path):
    """Two classes, one file that is none, one column of each kind."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(9):
        name = f"{'cat' if i < 6 else 'dog'}/{i:03d}.png"
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)
        rows.append(name)
    (tmp_path / "photos" / "cat" / "Thumbs.db").write_bytes(b"no picture")
    columns = pd.DataFrame(
        {
            "age": [1, 2, 3, 4, 5, 6, 7, 8, np.nan],
            "site": ["a", "a", "b", "b", "b", None, "<b>", "a", "a"],
            "weight": np.linspace(0.5, 4.5, 9),
            "sick": [True, False, True] * 3,
        }
    )
    return tmp_path / "photos", columns


def test_cameras_and_years_are_counted(tmp_path):
    for i, (camera, stamp) in enumerate(
        [("A", "1969:05:01 00:00:00"), ("A", "2012:12:31 23:59:59"), ("", "0000:00:00 00:00:00")]
    ):
        exif = Image.Exif()
        exif[272], exif[306] = camera, stamp
        Image.linear_gradient("L").rotate(90 * i).save(tmp_path / f"{i}.jpg", exif=exif)
    found = [(f.fact, f.value, f.images) for f in td.info(str(tmp_path), callbacks=()).files[-4:]]
    assert found == [
        ("JPEG quality", "75", 3),
        ("camera", "A", 2),
        *[("year", y, 1) for y in ("1969", "2012")],
    ]


def test_the_value_says_what_was_read(photos):
    root, columns = photos
    images = td.load(root)
    labels = [images.classes[c] for c in images.labels[:-1]] + [None]
    data = td.from_arrays(images.images, labels, attributes=columns, ids=images.ids.tolist())
    found = td.info(data)
    assert found.images == 9
    assert found.shape == (12, 12, 3)
    assert [(c.position, c.name, c.images) for c in found.classes] == [(0, "cat", 6), (1, "dog", 2)]
    assert found.unlabelled == 1
    kinds = {c.name: (c.type, c.values, c.missing) for c in found.attributes}
    assert kinds == {
        "age": ("whole numbers", 8, 1),
        "site": ("text", 3, 1),
        "weight": ("numbers", 9, 0),
        "sick": ("yes or no", 2, 0),
    }
    examples = {c.name: c.examples for c in found.attributes}
    assert examples["site"] == "a (4), b (3), <b> (1)"
    assert examples["weight"] == "0.5 to 4.5"
    assert found.ids == "paths: cat/000.png … dog/008.png"
    assert found.thumbnails.shape == (9, 12, 12, 3)
    page = found._repr_html_()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


@pytest.mark.parametrize(
    ("ids", "form"),
    [
        (["0001", "0020"], "numbers of 4 digits"),
        (["1", "20"], "numbers"),
        (["a/1.png", "b/2.png"], "paths"),
        (["1.png", "2.jpeg"], "file names"),
        (["patient one", "2"], "text"),
    ],
)
def test_how_ids_look(ids, form):
    images = np.arange(32, dtype=np.uint8).reshape(2, 4, 4, 1)
    data = td.from_arrays(images, ids=ids)
    assert td.info(data).ids == f"{form}: {ids[0]} … {ids[1]}"


def test_the_terminal_the_json_and_the_table_tell_the_same(photos, capsys):
    root, _ = photos
    assert main(["info", str(root), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 9
    assert found["classes"] == [
        {"position": 0, "name": "cat", "images": 6},
        {"position": 1, "name": "dog", "images": 3},
    ]
    assert main(["info", str(root)]) == 0
    shown, said = capsys.readouterr()
    assert said == "", "nothing is said twice"
    assert re.search(r"0\s+cat\s+6\s", shown)
    assert all(line in shown for line in found["problems"])
    assert "▀" not in shown, "a pipe has no colours"
    assert main(["info", str(root), "--format", "csv"]) == 0
    assert "class,cat,6" in capsys.readouterr().out


def test_thumbnails_are_half_blocks_in_the_colours_of_the_images():
    images = np.zeros((6, 32, 32, 3), dtype=np.uint8)
    images[:, :16, :, 0] = 255  # red above, black below
    lines = thumbnails(images)
    console = Console(force_terminal=True, color_system="truecolor", width=100, record=True)
    with console.capture() as printed:
        for line in lines:
            console.print(line)
    text = printed.get()
    assert text.count("▀") == 6 * 14 * 7
    assert "38;2;255;0;0;48;2;255;0;0" in text, "both halves of an upper line are red"
    assert max(line.cell_len for line in lines) <= 80


def test_one_page_that_opens_offline(photos, tmp_path, capsys):
    root, _ = photos
    assert main(["info", str(root), "--report", str(tmp_path / "data.html")]) == 0
    assert "data.html" in capsys.readouterr().out
    page = (tmp_path / "data.html").read_text()
    assert page.count('class="cell"') == 9
    assert "cat/000.png" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    written = td.info(root, report=tmp_path / "again.html", callbacks=())
    assert written.images == 9
    assert (tmp_path / "again.html").read_text() == page


def test_a_page_that_cannot_be_written_is_a_short_error(photos, capsys):
    code = main(["info", str(photos[0]), "--report", "/no/such/place/data.html"])
    said = capsys.readouterr().err.strip()
    assert code not in (0, 1)
    assert len(said.splitlines()) <= 3
