"""A benchmark of anyone's data: shares, balance, separate parts, files that others read."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import taskdiscovery as td
from taskdiscovery.splits import benchmark as bench
from taskdiscovery.splits.benchmark import building, checking
from taskdiscovery.splits.benchmark.rows import AGREEING, CONFLICTING, SPLITS
from taskdiscovery.store.place import Place
from taskdiscovery.types import Labeling

PARTS = ("train", "validation")


def data(n=600, classes=2, agree=0.6, side=6, channels=3, seed=0):
    """Images of noise, with a task (`light`) that goes with the label in a share of them."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    half = labels >= (classes + 1) // 2
    light = np.where(rng.random(n) < agree, half, ~half)
    frame = pd.DataFrame(
        {"light": np.where(light, "bright", "dark"), "age": rng.integers(0, 90, n), "Split": "x"}
    )
    frame.loc[3, "light"] = None
    return td.from_arrays(
        rng.integers(0, 256, (n, side, side, channels), dtype=np.uint8),
        labels,
        ids=[f"im/{i}" for i in range(n)],
        classes=["ant", "bee", "cat", "dog"][:classes],
        attributes=frame,
        name="bugs",
    )


def made(dataset, **options):
    return bench.compose(dataset, dataset.target("label"), dataset.target("attr:light"), **options)


def agreement(found):
    """Plain reference: the task's class of each class of the target, image by image."""
    side = {c: found.side_C[c] for c in range(found.target.k)}
    pairs = zip(found.target.labels_N.tolist(), found.task.labels_N.tolist(), strict=True)
    return np.array([a >= 0 and b >= 0 and side[a] == b for a, b in pairs])


@settings(max_examples=25, deadline=None)
@given(
    classes=st.integers(2, 4),
    agree=st.floats(0.3, 0.8),
    seed=st.integers(0, 5),
    strengths=st.lists(st.sampled_from([0.5, 0.55, 0.7, 0.9, 1.0]), min_size=1, unique=True),
)
def test_shares_balance_and_parts(classes, agree, seed, strengths):
    found = made(data(500, classes, agree, side=2), strengths=strengths, seed=seed)
    agrees_N, labels_N = agreement(found), found.target.labels_N
    assert np.array_equal(agrees_N, found.agree_N)
    assert found.strengths == tuple(sorted(strengths))
    tested = np.concatenate([found.tests[AGREEING], found.tests[CONFLICTING]])
    for strength in found.strengths:
        rows = found.rows(strength)
        assert tuple(sorted(rows)) == tuple(sorted(SPLITS))
        everything = np.concatenate(list(rows.values()))
        assert len(np.unique(everything)) == len(everything), "no image is in two parts"
        for part in PARTS:
            counts = np.bincount(labels_N[rows[part]], minlength=classes)
            assert (counts == counts[0]).all()
            for c in range(classes):
                own = rows[part][labels_N[rows[part]] == c]
                assert agrees_N[own].sum() == round(strength * counts[0])
    sizes = {part: {len(found.rows(s)[part]) for s in found.strengths} for part in PARTS}
    assert all(len(own) == 1 for own in sizes.values()), "every strength trains on as many"
    assert agrees_N[found.tests[AGREEING]].all()
    assert not agrees_N[found.tests[CONFLICTING]].any()
    assert np.bincount(labels_N[tested]).tolist() == [len(tested) // classes] * classes
    used = {
        part: np.unique(np.concatenate([found.rows(s)[part] for s in strengths])) for part in PARTS
    }
    assert not np.intersect1d(used["train"], used["validation"]).size, "at no strength"


def test_strengths_share_what_they_can_and_the_seed_decides():
    dataset = data(2000, agree=0.5, side=2)
    found = made(dataset)
    least, most = found.train[0.5], found.train[1.0]
    assert len(least) % 40 == 0, "shares come out even"
    assert len(np.intersect1d(least, most)) == len(least) // 2
    assert len(np.intersect1d(found.train[0.8], found.train[0.9])) == round(0.9 * len(least))
    again, other = made(dataset), made(dataset, seed=1)
    for strength in found.strengths:
        for name, rows in found.rows(strength).items():
            assert np.array_equal(rows, again.rows(strength)[name])
            assert not np.array_equal(rows, other.rows(strength)[name])
    assert made(dataset, strengths=(1.0, 0.5)).tests.keys() == found.tests.keys()


def test_nearly_all_images_are_used():
    found = made(data(2000, agree=0.5, side=2), strengths=(0.5,))
    rows = found.rows(0.5)
    assert sum(map(len, rows.values())) > 0.93 * 2000
    few = made(
        data(2000, agree=0.5, side=2), sizes=bench.Sizes(train=300, validation=0.5, test=0.1)
    )
    assert len(few.train[0.7]) == 280
    assert len(few.validation[0.7]) == 140
    assert len(few.tests[AGREEING]) == 28


def test_groups_copies_and_partitions_are_minded():
    dataset = data(900, agree=0.55, side=2)
    grouped = replace(dataset, groups=np.array([f"g{i // 5}" for i in range(900)]))
    found = made(grouped)
    of = {name: set(grouped.groups[r].tolist()) for name, r in found.rows(0.5).items()}
    assert not of["train"] & of["validation"]
    assert not (of["train"] | of["validation"]) & (of[AGREEING] | of[CONFLICTING])
    images = dataset.images.copy()
    images[450:460] = images[0]
    images[460:462] = images[3]  # whose task is missing: one of these two is kept
    found = made(replace(dataset, images=images))
    assert found.copies == 11
    everything = np.concatenate([np.concatenate(list(found.rows(s).values())) for s in (0.5, 1.0)])
    assert not np.intersect1d(everything, np.arange(450, 460)).size
    train_N = np.arange(900) < 600
    for own in (dataset, grouped):
        found = made(replace(own, train_N=train_N))
        for name, rows in found.rows(0.7).items():
            assert (train_N[rows] == (name in PARTS)).all()


def bursts(n=600, length=6, **more):
    """Images of noise, most of them in bursts of nearly the same, and bursts of one class."""
    dataset = data(n, side=8, **more)
    rng = np.random.default_rng(1)
    images = dataset.images.copy()
    for c in (0, 1):
        rows = np.flatnonzero(dataset.labels == c)[: n // 3]
        for start in range(0, len(rows), length):
            own = rows[start : start + length]
            noise = rng.integers(-2, 3, (len(own), *images.shape[1:]))
            images[own] = np.clip(images[own[0]].astype(int) + noise, 0, 255)
    return replace(dataset, images=images)


def by_pairs(images):
    """Plain reference: pairs of near copies, each pair looked at."""
    small = images.reshape(len(images), -1) / 255.0
    content = small - small.mean(1, keepdims=True)
    content /= np.linalg.norm(content, axis=1, keepdims=True)
    near = content @ content.T > 0.99
    return near & (np.abs(small.mean(1)[:, None] - small.mean(1)) <= 0.1)


def test_near_copies_are_kept_in_one_part():
    dataset = bursts(agree=0.5)
    near = by_pairs(dataset.images)
    found = made(dataset)
    assert found.near == 0
    known = near.sum(1) > 1
    known[3] = False  # whose task is missing
    assert found.together == known.sum() > 300
    used = np.concatenate([*found.train.values(), *found.validation.values()])
    tested = np.concatenate(list(found.tests.values()))
    assert not near[np.ix_(np.unique(used), tested)].any()
    assert not near[
        np.ix_(
            np.unique(np.concatenate(list(found.train.values()))),
            np.unique(np.concatenate(list(found.validation.values()))),
        )
    ].any()
    assert len(tested) > 40
    # Of what must not be tested on, no near copy is tested on either.
    seen_N = np.arange(600) % 3 > 0
    task = replace(dataset.target("attr:light"), seen_N=seen_N)
    found = bench.compose(dataset, dataset.target("label"), task)
    tested = np.concatenate(list(found.tests.values()))
    assert not near[np.ix_(seen_N, np.ones(600, bool))][:, tested].any()


def test_near_copies_across_parts_are_counted_where_parts_are_given(tmp_path):
    dataset = bursts()
    train_N = np.random.default_rng(2).random(600) < 0.6
    found = made(replace(dataset, train_N=train_N))
    assert found.together == 0
    near = by_pairs(dataset.images)
    used = np.unique(np.concatenate([*found.train.values(), *found.validation.values()]))
    tested = np.concatenate(list(found.tests.values()))
    assert found.near == near[np.ix_(tested, used)].any(1).sum() > 10
    folder = bench.write(tmp_path / "made", found)
    assert bench.check(folder)["tests_with_near_copies"] == found.near
    text = (folder / "README.md").read_text()
    assert f"{found.near} of {len(tested)} test images have a near copy" in text


def test_alike_images_that_have_no_end_are_not_chained():
    """Where each is a near copy of the next, one chain would be dealt out whole."""
    dataset = data(600, side=8)
    ends, share = dataset.images[:2].astype(float), np.linspace(0, 1, 600)[:, None, None, None]
    images = ((1 - share) * ends[0] + share * ends[1]).astype(np.uint8)
    found = made(replace(dataset, images=images))
    assert found.together == 0
    assert found.near == len(found.tests[AGREEING]) + len(found.tests[CONFLICTING])


def test_what_discovery_has_seen_is_not_tested_on():
    dataset = data(900, side=2)
    seen_N = np.arange(900) % 3 > 0
    task = replace(dataset.target("attr:light"), seen_N=seen_N)
    found = bench.compose(dataset, dataset.target("label"), task)
    assert not seen_N[found.tests[AGREEING]].any()
    assert not seen_N[found.tests[CONFLICTING]].any()
    assert seen_N[found.train[0.5]].all()


def test_more_classes_lean_on_the_task():
    found = made(data(800, classes=4, agree=0.7, side=2))
    assert [found.task.classes[side] for side in found.side_C] == [
        "dark",
        "dark",
        "bright",
        "bright",
    ]
    assert found.group_names[:3] == ("ant | bright", "ant | dark", "bee | bright")
    known = found.target.known_N & found.task.known_N
    expected = found.target.labels_N * 2 + found.task.labels_N
    assert np.array_equal(found.group_N[known], expected[known])
    assert found.group_N[3] == -1


def test_what_cannot_be_made_is_said():
    dataset = data(300, side=2)
    target, task = dataset.target("label"), dataset.target("attr:light")
    for strengths in ((0.4,), (1.2,), ()):
        with pytest.raises(td.ConfigError, match="shares from"):
            bench.compose(dataset, target, task, strengths=strengths)
    three = Labeling(name="t", classes=("a", "b", "c"), labels_N=target.labels_N, ids_N=dataset.ids)
    with pytest.raises(td.ConfigError, match="two classes"):
        bench.compose(dataset, target, three)
    with pytest.raises(td.DataError, match="other images"):
        bench.compose(dataset, target, replace(task, ids_N=task.ids_N[::-1]))
    same = replace(target, name="same")
    with pytest.raises(td.DataError, match="0 images on which the task differs"):
        bench.compose(dataset, target, same)
    with pytest.raises(td.DataError, match=r"differs, and 0 of them are free to test on"):
        bench.compose(replace(dataset, train_N=~made(dataset).agree_N), target, task)
    with pytest.raises(td.ConfigError, match="above 0"):
        bench.Sizes(test=0.0)
    with pytest.raises(td.ConfigError, match="19 images to train on are too few for 2 classes"):
        made(dataset, sizes=bench.Sizes(train=19))
    few = data(40, side=2)
    with pytest.raises(
        td.DataError, match=r"on which the task \w+, and \d of them are free to train on"
    ):
        made(few)
    with pytest.raises(td.ConfigError, match="train is 0"):
        bench.Sizes(train=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_what_was_written_reads_as_it_was(tmp_path, channels):
    dataset = data(400, classes=3, channels=channels)
    found = made(dataset, strengths=(0.5, 1.0))
    folder = bench.write(tmp_path / "made", found)
    for strength, config in ((0.5, "strength-0.50"), (1.0, "strength-1.00")):
        for name, rows in found.rows(strength).items():
            part = folder / (config if name in PARTS else "tests")
            again = td.load(f"parquet:{part}?split={name}", callbacks=())
            assert again.ids.tolist() == dataset.ids[rows].tolist()
            assert np.array_equal(again.images, dataset.images[rows])
            assert again.classes == dataset.classes
            assert np.array_equal(again.labels, dataset.labels[rows])
            columns = again.attributes
            assert columns["group"].tolist() == found.group_N[rows].tolist()
            assert columns["task"].tolist() == found.task.labels_N[rows].tolist()
            assert columns["agrees"].tolist() == found.agree_N[rows].tolist()
            assert columns["age"].tolist() == dataset.attributes["age"].to_numpy()[rows].tolist()
            expected = dataset.attributes["light"].to_numpy()[rows].tolist()
            assert columns["light"].tolist() == expected
            assert columns["attribute_Split"].tolist() == ["x"] * len(rows)
    both = td.load(f"parquet:{folder / 'strength-0.50'}", callbacks=())
    assert both.attributes["split"].value_counts().to_dict() == {
        name: len(found.rows(0.5)[name]) for name in PARTS
    }
    frame = pd.read_csv(folder / "strength-0.50" / "metadata.csv")
    waterbirds = ["img_id", "img_filename", "y", "split", "place"]
    assert frame.columns.tolist() == [*waterbirds, "group", "image_id"]
    assert frame["img_id"].tolist() == list(range(len(frame)))
    assert frame["img_filename"].is_unique
    for i, name in enumerate(SPLITS):
        own, rows = frame[frame["split"] == i], found.rows(0.5)[name]
        assert own["image_id"].tolist() == dataset.ids[rows].tolist()
        assert own["y"].tolist() == found.target.labels_N[rows].tolist()
        assert (own["group"] == 2 * own["y"] + own["place"]).all()


def test_the_card_lists_what_lies_there(tmp_path):
    dataset = replace(data(400), name="parquet:/home/me/bugs | <b>?split=x")
    found = made(dataset, strengths=(0.5, 0.9))
    folder = bench.write(tmp_path / "made", found)
    _, head, text = (folder / "README.md").read_text("utf-8").split("---\n", 2)
    assert "&id" not in head, "no aliases: not every reader of YAML knows them"
    document = yaml.safe_load(head)
    assert [own["config_name"] for own in document["configs"]] == ["strength-0.50", "strength-0.90"]
    for own, info in zip(document["configs"], document["dataset_info"], strict=True):
        for files, split in zip(own["data_files"], info["splits"], strict=True):
            (file,) = folder.glob(files["path"])
            table = pq.read_table(file)
            assert split["name"] == files["split"]
            assert table.num_rows == split["num_examples"]
            assert file.stat().st_size == split["num_bytes"]
            assert table.column_names == [feature["name"] for feature in info["features"]]
        kinds = {f["name"]: f["dtype"] for f in info["features"]}
        assert kinds["image"] == "image"
        assert kinds["label"] == {"class_label": {"names": {"0": "ant", "1": "bee"}}}
        assert (kinds["age"], kinds["agrees"], kinds["light"]) == ("int64", "bool", "string")
    metadata = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert metadata["image"] == {"_type": "Image"}
    assert metadata["task"] == {"names": ["bright", "dark"], "_type": "ClassLabel"}
    assert "| data | bugs \\| \\<b\\>, 400 images |" in text
    assert f"| 0.90 | {len(found.train[0.9]):,} | {len(found.validation[0.9]):,} | 90" in text


def test_bytes_are_the_same_again_and_changes_are_found(tmp_path):
    first, second = (
        bench.write(tmp_path / name, made(data(300), strengths=(0.5, 0.8))) for name in "ab"
    )
    files = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert len(files) == 3 * 2 + 2 + 3
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes(), file
    numbers = bench.check(first)
    part = numbers["parts"]["tests/test_conflicting"]
    assert part["agree"] == 0
    assert len(part["sha256"]) == 64
    other = bench.check(bench.write(tmp_path / "c", made(data(300), strengths=(0.5, 0.8), seed=1)))
    assert other["parts"]["tests/test_conflicting"]["sha256"] != part["sha256"]
    lines = (first / "SHA256SUMS").read_text().splitlines()
    value, _, name = lines[0].partition("  ")
    assert hashlib.sha256((first / name).read_bytes()).hexdigest() == value
    (first / "README.md").write_text("other")
    (first / "more.txt").write_text("")
    with pytest.raises(td.DataError, match=r"README\.md, more\.txt"):
        bench.check(first)
    (second / "SHA256SUMS").unlink()
    with pytest.raises(td.DataError, match="SHA256SUMS"):
        bench.check(second)


def test_contents_are_compared_whatever_encodes_them(tmp_path):
    found = made(data(300, channels=1), strengths=(0.5,))
    folder = bench.write(tmp_path / "made", found)
    assert all(not own.problem for own in bench.verify(folder))
    numbers = bench.check(folder, contents=True)
    assert numbers == json.loads(json.dumps(bench.numbers_of(found)))
    path = next(folder.glob("strength-0.50/train-*.parquet"))
    table = pq.read_table(path)
    pq.write_table(table, path, compression="snappy")
    assert [own.file for own in bench.verify(folder) if own.problem == "changed"] == [
        path.relative_to(folder).as_posix()
    ]
    assert bench.check(folder, contents=True) == numbers
    (folder / ".gitattributes").write_text("of a copy from the hub")
    assert len([own for own in bench.verify(folder) if own.problem]) == 1
    pq.write_table(table.take([*range(1, table.num_rows), 0]), path)
    with pytest.raises(td.DataError, match=r"strength-0\.50/train"):
        bench.check(folder, contents=True)
    path.unlink()
    path.symlink_to("/etc/hostname")
    assert [own.problem for own in bench.verify(folder) if own.problem] == ["changed"]
    with pytest.raises(td.DataError, match=r"strength-0\.50/train"):
        bench.check(folder, contents=True)
    for broken in (b"{", b"[1]", b'{"parts": 3}', b"\xff"):
        (folder / "benchmark.json").write_bytes(broken)
        with pytest.raises(td.DataError, match=r"benchmark\.json cannot be read"):
            bench.check(folder, contents=True)


def test_image_files_for_code_that_reads_waterbirds(tmp_path):
    found = made(data(300), strengths=(0.5, 0.9))
    folder = bench.write(tmp_path / "made", found)
    out = bench.unpack(folder, 0.9, tmp_path / "files")
    frame = pd.read_csv(out / "metadata.csv")
    rows = np.concatenate([found.rows(0.9)[name] for name in SPLITS])
    assert len(frame) == len(rows)
    for name, row in zip(frame["img_filename"], rows, strict=True):
        assert np.array_equal(np.asarray(Image.open(out / name)), found.dataset.images[row])
    assert sorted(path.name for path in out.iterdir()) == ["images", "metadata.csv"]
    with pytest.raises(td.ConfigError, match=r"no strength 0\.7"):
        bench.unpack(folder, 0.7, tmp_path / "other")
    table = folder / "strength-0.90" / "metadata.csv"
    table.write_text(table.read_text().replace("images/", "../images/"))
    (folder / "SHA256SUMS").write_bytes(checking.sums(folder))
    with pytest.raises(td.DataError, match="does not name the images"):
        bench.unpack(folder, 0.9, tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files", "made"]


def test_nothing_incomplete_stands_at_the_place(tmp_path, monkeypatch):
    """A disk that is full half way leaves nothing; what was killed is removed the next time."""
    found = made(data(300), strengths=(0.5,))
    real, calls = building.put, []

    def full(path, content):
        calls.append(path)
        if len(calls) == 3:
            with building.resources(path):
                raise OSError(28, "No space left on device")
        real(path, content)

    monkeypatch.setattr("taskdiscovery.splits.benchmark.files.put", full)
    for there in ([], [tmp_path / "made"]):  # a new folder, and one that is empty
        for path in there:
            path.mkdir()
        calls.clear()
        with pytest.raises(td.ResourceError, match="No space left"):
            bench.write(tmp_path / "made", found)
        assert list(tmp_path.rglob("*")) == there
    monkeypatch.undo()
    for name in (".made.0123abcd.building", ".other.0123abcd.building"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_text("")
    busy = tmp_path / ".made.89abcdef.building"
    busy.mkdir()
    with Place(busy).lock(".lock", "somebody"):
        bench.check(bench.write(tmp_path / "made", found))
    assert {path.name for path in tmp_path.iterdir()} == {
        "made",
        ".other.0123abcd.building",
        busy.name,
    }


def test_an_empty_folder_is_filled_from_within(tmp_path):
    """Its parent need not be ours: a disk may be mounted there."""
    found, folder = made(data(300), strengths=(0.5,)), tmp_path / "parent" / "made"
    (folder / ".made.0123abcd.building" / "half").mkdir(parents=True)
    folder.parent.chmod(0o555)
    try:
        bench.check(bench.write(folder, found))
        whole = bench.write(tmp_path / "new", found)
        assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in whole.iterdir())
        with pytest.raises(td.RunDirError, match="not empty"):
            bench.write(folder, found)
    finally:
        folder.parent.chmod(0o755)


def test_of_two_that_write_the_same_folder_one_is_refused(tmp_path):
    def build(name, meanwhile):
        with building.built(tmp_path / name, "last") as place:
            (place / "last").write_text("mine")
            meanwhile()

    def theirs():
        build("new", lambda: None)

    with pytest.raises(td.RunDirError, match="not empty"):
        build("new", theirs)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["last"]
    (tmp_path / "there").mkdir()
    with pytest.raises(td.RunDirError, match="another process wrote last"):
        build("there", lambda: (tmp_path / "there" / "last").write_text("theirs"))
    assert (tmp_path / "there" / "last").read_text() == "theirs"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["last", "last", "new", "there"]


def test_many_pixels_make_several_files(tmp_path, monkeypatch):
    monkeypatch.setattr("taskdiscovery.splits.benchmark.shards._SHARD", 6 * 6 * 3 * 30)
    found = made(data(300), strengths=(0.5,))
    folder = bench.write(tmp_path / "made", found)
    assert len(list((folder / "strength-0.50").glob("train-*.parquet"))) > 2
    again = td.load(f"parquet:{folder}/strength-0.50?split=train", callbacks=())
    assert np.array_equal(again.images, found.dataset.images[found.train[0.5]])


def test_what_cannot_be_written_is_said(tmp_path):
    found = made(data(300, channels=3), strengths=(0.5,))
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "file").write_text("")
    with pytest.raises(td.RunDirError, match="not empty"):
        bench.write(tmp_path / "some", found)
    five = replace(found.dataset, images=np.repeat(found.dataset.images, 2, axis=3)[..., :5])
    with pytest.raises(td.DataError, match="5 channels"):
        bench.write(tmp_path / "new", replace(found, dataset=five))
    assert not (tmp_path / "new").exists()


def test_hugging_face_reads_it_by_its_card(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    found = made(data(300), strengths=(0.5, 0.9))
    folder = bench.write(tmp_path / "made", found)
    datasets.disable_progress_bars()
    read = datasets.load_dataset(str(folder), "strength-0.90", cache_dir=str(tmp_path / "cache"))
    assert {name: len(own) for name, own in read.items()} == {
        name: len(rows) for name, rows in found.rows(0.9).items()
    }
    row, own = found.train[0.9][0], read["train"][0]
    assert np.array_equal(np.asarray(own["image"]), found.dataset.images[row])
    assert (own["image_id"], own["group"]) == (found.dataset.ids[row], found.group_N[row])
    assert read["train"].features["label"].names == ["ant", "bee"]
    told = datasets.load_dataset_builder(str(folder), "strength-0.90").info.splits
    assert told["train"].num_examples == len(found.train[0.9]), "the card's own numbers are read"
