"""Labels and ids: every value is the class that it is, and lies with the image that it is of."""

import csv
import json
import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import taskdiscovery as td
from taskdiscovery import data
from taskdiscovery.cli.main import main
from taskdiscovery.data.labels.human import human_labelings, human_references
from taskdiscovery.data.labels.matching import match
from taskdiscovery.features import read_features
from taskdiscovery.jobs.inputs import choose
from taskdiscovery.types import class_codes
from taskdiscovery.types.classes import NO_VALUE

N = 12
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 8, 8, 3), dtype=np.uint8)
FILES = [f"{i:03d}.png" for i in range(N)]
EVEN = [i % 2 for i in range(N)]
ORDER = np.random.default_rng(1).permutation(N).tolist()


def dataset(ids=FILES, **more):
    return data.from_arrays(IMAGES[: len(ids)], ids=list(ids), **more)


def shuffled(column="image_id", ids=FILES):
    return pd.DataFrame({column: [ids[i] for i in ORDER], "t": [EVEN[i] for i in ORDER]})


def labels_of(found):
    """The class name of each image, None where it has none."""
    names = np.array([*found.classes, None], dtype=object)
    return names[found.labels_N].tolist()


def read(path, images=None, columns=("t",)):
    (found,) = data.read_labelings(path, images or dataset(), list(columns))
    return labels_of(found)


RIGHT = [str(value) for value in EVEN]


# --- which row is whose -------------------------------------------------------------------------

COLUMNS = ("image_id", "filename", "file_name", "image", "img_filename", "file", "path", "id")


@pytest.mark.parametrize("column", [*COLUMNS, "name", "Filename", "IMAGE_ID", " file"])
@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_a_column_of_ids_is_found_by_any_of_its_names(column, kind, tmp_path):
    path = tmp_path / f"t.{kind}"
    table = shuffled(column)
    if kind == "parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
    assert read(path) == RIGHT


@pytest.mark.parametrize("name", ["image_id", "anything", None])
def test_an_index_that_pandas_wrote_names_the_images(name, tmp_path):
    table = shuffled().set_index("image_id").rename_axis(name)
    table.to_parquet(tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet") == RIGHT
    table.to_csv(tmp_path / "t.csv")
    assert read(tmp_path / "t.csv") == RIGHT
    assert labels_of(data.target_of(dataset(), table["t"])) == RIGHT


def test_the_rows_that_r_writes_have_a_cell_more_than_the_header(tmp_path):
    lines = [f'"{FILES[i]}","{EVEN[i]}"' for i in ORDER]
    (tmp_path / "t.csv").write_text("\n".join(['"t"', *lines]) + "\n")
    assert read(tmp_path / "t.csv") == RIGHT


def test_of_several_columns_the_one_that_finds_most_images_names_them(tmp_path):
    table = shuffled("filename")
    table.insert(0, "id", range(1, N + 1))  # what exports add
    table.insert(0, "name", ["bird"] * N)
    table.to_csv(tmp_path / "t.csv", index=False)
    assert read(tmp_path / "t.csv") == RIGHT
    assert read(tmp_path / "t.csv", columns=["name"]) == ["bird"] * N


def test_row_numbers_are_ids_where_the_images_have_no_others(tmp_path):
    images = data.from_arrays(IMAGES)
    shuffled(ids=list(range(N))).to_csv(tmp_path / "t.csv", index=False)
    assert read(tmp_path / "t.csv", images) == RIGHT
    table = pd.DataFrame({"t": EVEN}).loc[ORDER]
    table.to_parquet(tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet", images) == RIGHT
    table.to_csv(tmp_path / "t.csv")
    assert read(tmp_path / "t.csv", images) == RIGHT
    assert labels_of(data.target_of(images, table["t"])) == RIGHT


def test_a_match_by_order_is_said_and_a_row_counter_is_no_id(tmp_path, caplog):
    images = dataset([f"{i}.png" for i in range(N)])  # as numbers, 10 would come before 2
    for index in (False, True):
        caplog.clear()
        pd.DataFrame({"t": EVEN}).to_csv(tmp_path / "t.csv", index=index)
        assert read(tmp_path / "t.csv", dataset(sorted(images.ids.tolist()))) == RIGHT
        assert "rows matched by order" in caplog.text
    caplog.clear()
    assert labels_of(data.target_of(images, pd.Series(EVEN))) == RIGHT
    assert caplog.text == "", "a plain Series says no more than an array"
    pd.DataFrame({"t": [*EVEN, 1]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(td.DataError, match="13 rows for 12 images"):
        read(tmp_path / "t.csv")


FORMS = {
    "backslashes": lambda i: (f"cat\\{i:03d}.png", f"cat/{i:03d}.png"),
    "dots": lambda i: (f"./cat/{i}.png", f"cat/{i}.png"),
    "absolute paths": lambda i: (
        f"/home/me/d/{'ab'[i % 2]}/{i // 2}.png",
        f"{'ab'[i % 2]}/{i // 2}.png",
    ),
    "file names": lambda i: (f"{i}.png", f"photos/{i}.png"),
    "no endings": lambda i: (f"{'ab'[i % 2]}/{i // 2}", f"{'ab'[i % 2]}/{i // 2}.jpeg"),
    "another ending": lambda i: (f"{i}.tif", f"{i}.PNG"),
    "stems": lambda i: (f"x.{i}", f"d/x.{i}.png"),
    "zero-padded": lambda i: (f"{i:05d}", f"{i}"),
    "zeros left out": lambda i: (f"{i}", f"IMG/{i:05d}.png"),
    "zeros within": lambda i: (f"img_{i}.png", f"img_{i:04d}.png"),
    "composed": lambda i: (f"café{i}.png", f"cafe\u0301{i}.png"),
    "some padded": lambda i: (f"{i:02d}", f"{i}"),
}


@pytest.mark.parametrize("form", FORMS)
def test_ids_in_another_form_are_matched_and_that_is_said(form, tmp_path, caplog):
    theirs, own = zip(*[FORMS[form](i) for i in range(N)], strict=True)
    shuffled(ids=theirs).to_csv(tmp_path / "t.csv", index=False)
    assert read(tmp_path / "t.csv", dataset(own)) == RIGHT
    assert caplog.text.count("ids are matched by") == 1


@pytest.mark.parametrize(
    ("theirs", "own"),
    [
        (["a/0.png", "b/0.png", "a/1.png"], ["x/0.png", "x/1.png"]),  # two rows for one image
        (["0.png", "1.png"], ["a/0.png", "b/0.png"]),  # one row for two images
        (["01", "1"], ["001", "2"]),
    ],
)
def test_a_form_that_takes_two_ids_for_one_is_not_used(theirs, own):
    assert match(theirs, own).found == 0


def test_what_contradicts_the_exact_matches_is_none():
    """Rows of another folder are not these images, though their names alone are distinct."""
    theirs = [f"test/{i}.png" for i in range(8)] + [f"train/{i}.png" for i in range(8, 12)]
    found = match(theirs, [f"test/{i}.png" for i in range(12)])
    assert found.rows_N.tolist() == [*range(8), -1, -1, -1, -1]
    found = match(["0.png", "1.jpg"], ["0.png", "1.png"])
    assert found.rows_N.tolist() == [0, -1]


def test_partial_matches_are_counted_both_ways(tmp_path, caplog):
    table = shuffled().iloc[2:]
    more = pd.DataFrame({"image_id": ["x.png", "y.png"], "t": [0, 1]})
    pd.concat([table, more]).to_csv(tmp_path / "t.csv", index=False)
    lost = {FILES[i] for i in ORDER[:2]}
    found = read(tmp_path / "t.csv")
    assert found == [None if f in lost else r for f, r in zip(FILES, RIGHT, strict=True)]
    assert "2 of 12 images have no row (e.g. " in caplog.text
    assert "2 of 12 rows have no image (e.g. x.png, y.png)" in caplog.text
    assert len(caplog.records) == 1


def test_ids_that_are_off_by_one_are_noticed(tmp_path, caplog):
    table = pd.DataFrame({"image_id": range(1, N + 1), "t": EVEN})
    table.to_csv(tmp_path / "t.csv", index=False)
    assert read(tmp_path / "t.csv", data.from_arrays(IMAGES)) == [None, *RIGHT[:-1]]
    assert "ids run from 1 to 12, the images' row numbers from 0 to 11" in caplog.text
    assert (
        "1 of 12 images have no row (e.g. 0), 1 of 12 rows have no image (e.g. 12)" in caplog.text
    )


def test_an_id_that_stands_twice_is_refused_unless_its_rows_are_equal(tmp_path):
    table = pd.concat([shuffled(), shuffled()])
    table.to_csv(tmp_path / "t.csv", index=False)
    assert read(tmp_path / "t.csv") == RIGHT
    table.iloc[-1, 1] = 1 - table.iloc[-1, 1]
    table.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(td.DataError, match="1 ids occur more than once"):
        read(tmp_path / "t.csv")


def test_ids_that_match_nothing_are_refused(tmp_path):
    shuffled(ids=[f"photo {i}x" for i in range(N)]).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(td.DataError, match="no id matches an image"):
        read(tmp_path / "t.csv")


def test_everything_that_has_ids_is_matched_in_the_same_way(tmp_path, caplog):
    own = dataset([f"d/{name}" for name in FILES])
    table = shuffled()
    table.to_csv(tmp_path / "t.csv", index=False)
    series = table.set_index("image_id")["t"]
    (from_frame,) = choose(own, table, {}).labelings
    (from_index,) = choose(own, table.set_index("image_id"), {}).labelings
    other = data.from_arrays(IMAGES, EVEN, ids=FILES).target("label")
    for found in (data.target_of(own, series), from_frame, from_index, data.target_of(own, other)):
        assert labels_of(found) == RIGHT
    features, _ = read_features(tmp_path / "t.csv", own)
    assert features[:, 0].tolist() == EVEN
    caplog.clear()
    tasks = td.Tasks.of([other, other, other])
    chosen = choose(own, tasks, {}).labelings + choose(own, [*tasks], {}).labelings
    assert all(labels_of(one) == RIGHT for one in chosen)
    assert len(caplog.records) == 2, "once for each call"


texts = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"], exclude_characters="\x85"))


@st.composite
def ids(draw):
    """Distinct ids as people have them, which are no less distinct without spaces around."""
    name = st.one_of(
        st.integers(0, 10**6).map(str),
        st.integers(0, 99).map(lambda i: f"{i:06d}"),
        st.tuples(st.sampled_from("ab"), st.integers(0, 20)).map(lambda p: f"{p[0]}/{p[1]}.png"),
        texts.map(str.strip).filter(bool),
    )
    return draw(st.lists(name, min_size=3, max_size=8, unique=True))


@given(ids(), st.randoms(), st.sampled_from([",", ";", "\t", "|", "column", "index"]))
def test_any_ids_are_matched_back_from_any_table(tmp_path_factory, names, random, form):
    place = tmp_path_factory.mktemp("t")
    own = data.from_arrays(IMAGES[: len(names)], ids=names)
    order = random.sample(range(len(names)), len(names))
    table = pd.DataFrame({"image_id": [names[i] for i in order], "t": [f"c{i}" for i in order]})
    if len(form) == 1:
        table.to_csv(place / "t.csv", sep=form, index=False)
    else:
        table = table if form == "column" else table.set_index("image_id")
        table.to_parquet(place / "t.parquet", index=form == "index")
    path = next(place.iterdir())
    assert read(path, own) == [f"c{i}" for i in range(len(names))]


# --- how tables are written ---------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("space", ["", " "])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_in_any_form(separator, space, mark, tmp_path):
    quoted = [f'"{FILES[i]}"{separator}{space}"kind {EVEN[i]}, or so"' for i in ORDER]
    lines = [f"file{separator}{space}t", *quoted]
    (tmp_path / "t.csv").write_text(mark + "\n".join(lines), "utf-8")
    assert read(tmp_path / "t.csv") == [f"kind {i}, or so" for i in EVEN]


def test_csv_that_is_not_utf_8_is_refused_with_its_line(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"image_id,t\n000.png,a\n001.png,caf\xe9\n")
    with pytest.raises(td.DataError, match="not in UTF-8: byte 0xe9 in line 3"):
        read(tmp_path / "t.csv")


def test_numbers_with_zeros_in_front_stay_texts(tmp_path):
    table = pd.DataFrame({"file": FILES, "t": ["007", "07", "7"] * 4, "n": ["1.50", "2", "3"] * 4})
    table.to_csv(tmp_path / "t.csv", index=False)
    (t, n) = data.read_labelings(tmp_path / "t.csv", dataset())
    assert t.classes == ("007", "07", "7")
    assert n.classes == ("1.5", "2", "3")
    long = pd.DataFrame({"file": FILES, "t": ["12345678901234567890", "12345678901234567891"] * 6})
    long.to_csv(tmp_path / "t.csv", index=False)
    assert len(set(read(tmp_path / "t.csv"))) == 2, "no number keeps so many digits"


# --- which value is which class -----------------------------------------------------------------


def test_one_class_is_never_two_for_its_type():
    values = [1, "1", 1.0, np.float32(1), np.int8(1), True, "True", np.bool_(True), "01"]
    codes, classes = class_codes("x", values)
    assert classes == ("1", "True", "01")
    assert codes.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 2]


MISSING = (None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), "", "  ")


@pytest.mark.parametrize("missing", MISSING, ids=repr)
def test_missing_is_missing_in_every_form(missing):
    values = ["a", missing, "b", "a"] * 3
    images = dataset(attributes=pd.DataFrame({"c": np.array(values, dtype=object)}))
    labelled = data.from_arrays(IMAGES, values)
    found = [
        images.target("attr:c"),
        labelled.target("label"),
        data.target_of(images, values),
        data.target_of(images, np.array(values, dtype=object)),
        data.target_of(images, pd.Series(values, index=FILES)),
    ]
    for one in found:
        assert labels_of(one) == ["a", None, "b", "a"] * 3
    for spec in ("label:a", "label:0"):
        assert labelled.target(spec).labels_N.tolist() == [1, -1, 0, 1] * 3


@pytest.mark.parametrize(
    "labels",
    [
        [0.0, np.nan, 1.0, 0.0],
        np.array([0, np.nan, 1, 0]),
        pd.array([0, None, 1, 0]),
        np.ma.masked_array([0, 7, 1, 0], [0, 1, 0, 0]),
        ["0", None, "1", "0"],
        [0, "NA", 1, 0],
        ["0", "nan", "1", "0"],
    ],
)
def test_missing_labels_beside_numbers(labels):
    few = data.from_arrays(IMAGES[:4], labels)
    assert few.classes == ("0", "1")
    assert few.labels.tolist() == [0, -1, 1, 0]
    assert few.target("label:1").labels_N.tolist() == [0, -1, 1, 0]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_empty_cell_of_a_table_is_missing(kind, tmp_path):
    table = pd.DataFrame({"file": FILES, "t": ["a", None, "b"] * 4, "n": [1, None, 2] * 4})
    path = tmp_path / f"t.{kind}"
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    assert read(path) == ["a", None, "b"] * 4
    assert read(path, columns=["n"]) == ["1", None, "2"] * 4
    assert labels_of(data.target_of(dataset(), f"{path}:t")) == ["a", None, "b"] * 4


def test_minus_one_is_no_label_beside_class_names():
    for labels in ([0, -1, 1], [0.0, np.nan, 1.0], [False, None, True]):
        found = data.from_arrays(IMAGES[:3], labels, classes=("cat", "dog"))
        assert found.labels.tolist() == [0, -1, 1]
        assert found.target("label:dog").labels_N.tolist() == [0, -1, 1]
    assert data.from_arrays(IMAGES[:3], [1, -1, 1]).classes == ("-1", "1")
    with pytest.raises(td.DataError, match="index none of 2 class names"):
        data.from_arrays(IMAGES[:3], [0, 1, 2], classes=("cat", "dog"))
    assert data.from_arrays(IMAGES[:3], [None] * 3).labels is None


@given(st.data())
def test_class_values_of_any_type_make_the_round_trip(drawn):
    kinds = [
        st.integers(-(2**62), 2**62),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
        texts.filter(lambda t: t.strip()),
        st.dates(),
        st.none(),
    ]
    values = drawn.draw(st.lists(st.one_of(kinds), min_size=1, max_size=N))
    codes, classes = class_codes("x", values)
    assert len(set(classes)) == len(classes)
    numeric = all(not isinstance(v, str) for v in values)
    for value, code in zip(values, codes, strict=True):
        if value is None:
            assert code == -1
        elif code < 0:
            assert value in NO_VALUE, "texts among numbers"
        elif isinstance(value, float):
            assert float(classes[code]) == value
        else:
            assert classes[code] == str(value)
    if numeric and not any(isinstance(v, bool) for v in values):
        numbers = [v for v in values if isinstance(v, int | float)]
        ranks = [codes[values.index(v)] for v in sorted(numbers)]
        assert (np.diff(ranks) >= 0).all()


@given(st.lists(texts.map(str.strip).filter(bool), min_size=2, max_size=N), st.data())
def test_class_names_make_the_round_trip_through_tables(tmp_path_factory, values, drawn):
    place = tmp_path_factory.mktemp("t")
    separator = drawn.draw(st.sampled_from(",;\t|"))
    own = dataset(FILES[: len(values)])
    table = pd.DataFrame({"file": FILES[: len(values)], "t": values})
    table.to_csv(place / "t.csv", index=False, sep=separator, quoting=csv.QUOTE_NONNUMERIC)
    table.to_parquet(place / "t.parquet", index=False)
    expected = class_codes("t", values)
    for path in place.iterdir():
        found = read(path, own)
        for name, value in zip(found, values, strict=True):
            if expected[1] and any(not n[-1:].isdigit() for n in expected[1]):
                assert name == value


def test_texts_for_no_value_are_classes_that_are_counted(tmp_path):
    for i in range(N):
        Image.fromarray(IMAGES[i]).save(tmp_path / FILES[i])
    names = ["NA", "BW", "None", "KE"] * 3
    table = pd.DataFrame({"file": FILES, "country": names, "age": ["3", "NA", "5"] * 4})
    table["label"] = ["cat", "dog", "null"] * 4
    table.to_csv(tmp_path / "t.csv", index=False)
    found = td.load(f"csv:{tmp_path / 't.csv'}")
    assert labels_of(found.target("attr:country")) == names
    assert found.attributes["age"].isna().tolist() == [False, True, False] * 4
    assert found.classes == ("cat", "dog", "null")
    country = (
        "attribute country: 3 cells are the text NA, read as a class; --missing NA if it is not one"
    )
    assert country in found.problems
    assert any(line.startswith("label: 4 cells are the text null") for line in found.problems)
    assert not any("age" in line for line in found.problems)

    told = td.load(f"csv:{tmp_path / 't.csv'}", missing=["NA", "null"])
    assert labels_of(told.target("attr:country")) == [None, "BW", "None", "KE"] * 3
    assert told.classes == ("cat", "dog")
    assert told.labels.tolist() == [0, 1, -1] * 4
    assert td.load(found, missing=["NA", "null"]).labels.tolist() == [0, 1, -1] * 4
    assert labels_of(data.target_of(told, names)) == [None, "BW", "None", "KE"] * 3
    other = pd.DataFrame({"file": FILES, "t": names})
    other.to_csv(tmp_path / "o.csv", index=False)
    assert read(tmp_path / "o.csv", told) == [None, "BW", "None", "KE"] * 3
    assert read(tmp_path / "o.csv", found) == names


def test_missing_is_an_option_of_the_command_line(tmp_path, capsys):
    for i in range(N):
        Image.fromarray(IMAGES[i]).save(tmp_path / FILES[i])
    table = pd.DataFrame({"file": FILES, "label": ["cat", "dog", "?"] * 4})
    table.to_csv(tmp_path / "t.csv", index=False)
    given = ["info", f"csv:{tmp_path / 't.csv'}", "--format", "json"]
    assert main(given) == 0
    assert "?" in capsys.readouterr().out
    assert main([*given, "--missing", "?,NA"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in shown["classes"]] == ["cat", "dog"]


def test_numeric_class_names_are_names_and_never_positions():
    found = data.from_arrays(IMAGES, [5, 0, 2] * 4)
    assert found.target("label:0").labels_N.tolist() == [0, 1, 0] * 4
    assert found.target("label:2").labels_N.tolist() == [0, 0, 1] * 4
    with pytest.raises(td.ConfigError, match="no class '1'") as caught:
        found.target("label:0,1")
    assert "0, 2, 5" in str(caught.value)
    mixed = data.from_arrays(IMAGES, ["2", "cat", "dog"] * 4)
    assert mixed.target("label:2").labels_N.tolist() == [1, 0, 0] * 4
    with pytest.raises(td.ConfigError, match="no class '1'"):
        mixed.target("label:1")
    named = data.from_arrays(IMAGES, ["bird", "cat", "dog"] * 4)
    assert named.target("label:0,2").labels_N.tolist() == [1, 0, 1] * 4
    with pytest.raises(td.ConfigError, match="no class '3'"):
        named.target("label:3")
    odd = data.from_arrays(IMAGES, [-1, 1] * 6)
    assert odd.target("label:1").labels_N.tolist() == [0, 1] * 6
    assert found.half_of_classes() == "label:0"
    assert odd.half_of_classes() == "label:-1"
    assert named.half_of_classes() == "label:0"
    assert data.from_arrays(IMAGES, [1] * N).half_of_classes() is None
    few = data.from_arrays(IMAGES, [2, 3] * 6, classes=("a", "b", "c", "d"))
    (own,) = human_references(few, [], 1)
    assert own.labels_N.tolist() == [1, 0] * 6, "a and b have no images"


def test_attributes_are_references_the_most_balanced_first():
    table = pd.DataFrame(
        {
            "rare": [1] + [0] * 11,
            "name": [f"file {i}" for i in range(12)],
            "even": ["x", "y"] * 6,
            "weight": np.linspace(0, 1, 12),
            "same": ["z"] * 12,
            "three": ["p", "q", "r"] * 4,
            "mostly": [True] * 7 + [False] * 5,
        }
    )
    found = data.from_arrays(IMAGES, ["bird", "cat", "dog"] * 4, attributes=table)
    names = [own.name for own in human_references(found, [], 100)]
    assert names[0] == "label:0"
    assert names[1:] == ["attr:even", "attr:mostly", "attr:three", "attr:rare"]
    few = human_references(found, [found.target("attr:even")], 2)
    assert [own.name for own in few] == ["label:0", "attr:mostly"]
    wide = replace(found.target("label"), name="three classes")
    assert human_references(found, [wide], 2)[1].name == "attr:three", "as many classes"
    assert human_references(found, [], 0) == []
    assert [own.name for own in human_labelings(found)][:2] == ["label", "label:0"]
    with pytest.raises(td.DataError, match="neither labels nor attributes"):
        human_labelings(data.from_arrays(IMAGES))


def test_any_number_of_classes():
    many = [f"species {i}" for i in range(1500)]
    images = np.random.default_rng(0).integers(0, 256, (1500, 4, 4, 1), dtype=np.uint8)
    found = data.from_arrays(images, many)
    assert len(found.classes) == 1500
    with pytest.raises(td.DataError, match="1500 classes") as caught:
        td.score(found, "label", callbacks=(), threads=1)
    assert "classes" in caught.value.hint
    with pytest.raises(td.DataError, match="1500 classes"):
        td.split(found, "label", "untrained:linear", callbacks=(), threads=1)
    tasks = td.discover(
        found, method="spectral", tasks=2, learner="linear", threads=1, callbacks=()
    )
    assert len(tasks.tasks) == 2


# --- jobs with images that have no label --------------------------------------------------------

CHEAP = {"preset": "smoke", "runs": 2, "epochs": 1, "threads": 1, "callbacks": (), "seed": 0}


@pytest.fixture(scope="module")
def partly():
    """Two hundred images, every fourth without a label."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 3
    images = rng.integers(0, 100, (200, 8, 8, 3), dtype=np.uint8)
    images[labels == 0, :4] += 100
    known = [None if i % 4 == 0 else f"c{c}" for i, c in enumerate(labels)]
    return td.from_arrays(images, known)


def test_jobs_leave_images_without_a_label_out(partly):
    unknown = set(partly.ids[::4])
    scores = td.score(partly, ["label", "label:c0"], learner="linear", **CHEAP)
    for score in scores:
        assert not set(score.per_image.index) & unknown
    made = td.split(
        partly, "label:c0", list(np.arange(200) % 2), learner="linear", controls=["random"], **CHEAP
    )
    assert (made.role_N[::4] == -1).all()
    assert (made.role_N[1::4] >= 0).all()


def test_discovery_and_evidence_with_images_without_a_label(partly):
    brief = {"epochs": 1, "encoder_epochs": 1, "threads": 1, "callbacks": (), "learner": "linear"}
    found = td.discover(partly, tasks=2, method=td.Power(iterations=1), exclude=["label"], **brief)
    assert len(found.tasks) >= 1
    found = td.discover(partly, tasks=2, method="spectral", within="label", **brief)
    evidence = td.analyze(partly, found, images=100, probe_images=20, threads=1, callbacks=())
    assert np.isfinite(evidence.similarity).all()
    own = evidence.associations.query("factor == 'label'")
    assert (own["missing"] > 0).all()


def test_excluding_a_label_tells_those_without_one_from_the_first_class(partly):
    from taskdiscovery.discovery.constraints import excluded_columns

    columns = excluded_columns(partly, ["label"])
    rows = {tuple(row) for row in columns.to_numpy()}
    assert len(rows) == 4, "three classes, and none"


def test_labelings_with_gaps_have_similarities_of_what_is_known(partly):
    full = np.arange(200) % 2
    gaps = full.astype(float)
    gaps[::3] = np.nan
    evidence = td.analyze(partly, [full, gaps], images=200, threads=1, callbacks=())
    assert evidence.similarity == pytest.approx(np.ones((2, 2)))
    assert evidence.information == pytest.approx(np.ones((2, 2)))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_table_that_label_writes_reads_back_whole(kind, tmp_path, capsys):
    names = [f"{i:03d}" for i in range(60)]
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    for name, image in zip(names, images, strict=True):
        (tmp_path / "d").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "d" / f"{name}.png")
    run, out, spec = tmp_path / "run", tmp_path / f"labels.{kind}", f"folder:{tmp_path / 'd'}"
    discover = ["discover", spec, "--method", "spectral", "--tasks", "3", "--learner", "linear"]
    assert main([*discover, "--encoder-epochs", "1", "--threads", "1", "--out", str(run)]) == 0
    assert main(["label", str(run), spec, "--out", str(out)]) == 0
    own = td.load(spec)
    tasks = td.open_run(run).tasks
    found = data.read_labelings(out, own)
    assert [one.name for one in found] == list(tasks.names)
    for one, task in zip(found, tasks, strict=True):
        assert labels_of(one) == [str(c) for c in task.labels_N]
        assert one.seen_N.tolist() == tasks.seen_N.tolist()
    name = tasks.names[0]
    assert data.target_of(own, f"{out}:{name}").labels_N.tolist() == tasks[0].labels_N.tolist()
    (again, *_) = choose(own, td.label(run, own, callbacks=()).to_frame(), {}).labelings
    assert again.labels_N.tolist() == tasks[0].labels_N.tolist()
    small = ["--preset", "smoke", "--epochs", "1", "--threads", "1", "--learner", "linear"]
    assert main(["score", spec, "--from", str(out), "--runs", "2", *small]) == 0
    assert main(["score", spec, "--target", f"{out}:{name}", "--runs", "2", *small]) == 0
    capsys.readouterr()


# --- torch data sets ----------------------------------------------------------------------------


def samples(rows, **attributes):
    torch = pytest.importorskip("torch")

    class Own(torch.utils.data.Dataset):
        def __len__(self):
            return len(rows)

        def __getitem__(self, i):
            return rows[i]

    own = Own()
    for name, value in attributes.items():
        setattr(own, name, value)
    return own


READ = {
    "pairs": lambda x, y: (x, y),
    "triples": lambda x, y: (x, y, {"site": 3}),
    "dictionaries": lambda x, y: {"image": x, "label": y},
    "of transformers": lambda x, y: {"pixel_values": x, "labels": y},
    "of others": lambda x, y: {"img": x, "target": y, "id": "a"},
    "lists": lambda x, y: [x, y],
    "labels in arrays": lambda x, y: (x, np.array([y])),
    "labels as floats": lambda x, y: (x, float(y)),
    "labels as texts": lambda x, y: (x, str(y)),
}


@pytest.mark.parametrize("form", READ)
def test_samples_of_torch_are_read(form):
    own = samples([READ[form](image, y) for image, y in zip(IMAGES, EVEN, strict=True)])
    found = td.from_torch(own)
    assert (found.images == IMAGES).all()
    assert labels_of(found.target("label")) == RIGHT


def test_other_samples_of_torch_are_read():
    torch = pytest.importorskip("torch")
    tensors = torch.from_numpy(IMAGES).permute(0, 3, 1, 2)

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(zip(tensors, torch.tensor(EVEN), strict=True))

    for own in (Stream(), torch.utils.data.TensorDataset(tensors, torch.tensor(EVEN))):
        found = td.load(own)
        assert (found.images == IMAGES).all()
        assert labels_of(found.target("label")) == RIGHT
    for own in (samples(list(tensors)), samples([(x,) for x in tensors])):
        found = td.from_torch(own)
        assert found.labels is None
        assert (found.images == IMAGES).all()
    gaps = samples([(x, None if y else 0) for x, y in zip(tensors, EVEN, strict=True)])
    assert td.from_torch(gaps).labels.tolist() == [0, -1] * 6
    pairs = [(x, y - 1) for x, y in zip(tensors, EVEN, strict=True)]
    named = td.from_torch(samples(pairs, classes=[("tench", "Tinca tinca"), "dog"]))
    assert named.classes == ("tench, Tinca tinca", "dog")
    assert named.labels.tolist() == [-1, 0] * 6


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (lambda x: (x, np.zeros(40)), "shape \\(40,\\)"),
        (lambda x: (x, [0, 1]), "\\[0, 1\\]"),
        (lambda x: (x, 0.3), "0.3"),
        (lambda x: ("a.png", 1), "'a.png', of type str"),
        (lambda x: {"a": x}, "dictionary of a"),
        (lambda x: 3, "'3', of type int"),
        (lambda x: None, "NoneType"),
    ],
)
def test_samples_that_cannot_be_read_are_named(sample, words):
    with pytest.raises(td.DataError, match=words) as caught:
        td.from_torch(samples([sample(x) for x in IMAGES]))
    assert "sample 0" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3


def test_what_a_torch_data_set_raises_is_told_with_its_sample():
    torch = pytest.importorskip("torch")

    class Broken(torch.utils.data.Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, i):
            return (IMAGES[i], int("x")) if i == 1 else (IMAGES[i], 0)

    with pytest.raises(td.DataError, match="ValueError: invalid literal") as caught:
        td.from_torch(Broken())
    assert "sample 1" in str(caught.value)
    loader = torch.utils.data.DataLoader(Broken())
    with pytest.raises(td.DataError, match="DataLoader"):
        td.from_torch(loader)


def test_warnings_go_to_the_log_of_the_package(caplog, tmp_path):
    shuffled(ids=[f"x/{name}" for name in FILES]).to_csv(tmp_path / "t.csv", index=False)
    read(tmp_path / "t.csv")
    assert {record.name for record in caplog.records} == {"taskdiscovery"}
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
