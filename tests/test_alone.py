"""Features that stand alone: every job goes without images, and says so where it cannot."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

import taskdiscovery as td
from taskdiscovery.cli import main
from taskdiscovery.jobs.trust import Reach, reach_of

N, P = 400, 12


def planted(seed=0):
    """Features in which two hidden labelings are planted, and these labelings."""
    rng = np.random.default_rng(seed)
    hidden = rng.integers(0, 2, (N, 2))
    directions = rng.normal(size=(2, P))
    noise = 0.4 * rng.normal(size=(N, P))
    return ((2 * hidden - 1) @ directions + noise).astype(np.float32), hidden


TABLE, HIDDEN = planted()
NAMES = [f"row-{i:03d}" for i in range(N)]
LABELS = np.where(HIDDEN[:, 0] == 1, "yes", "no")
BRIEF = td.Pursuit(starts=60, rounds=5)
#: one thread: two wait for each other on tables this small.
QUIET = {"threads": 1, "callbacks": ()}


def wide():
    frame = pd.DataFrame(TABLE, columns=[f"f{j}" for j in range(P)])
    return frame.assign(image_id=NAMES, label=LABELS, camera=["a", "b"] * (N // 2))


def lists():
    return pd.DataFrame({"image_id": NAMES, "vector": list(TABLE), "label": LABELS, "t": 1.5})


def written(folder, form):
    kind, _, how = form.partition(" ")
    path = folder / f"table.{kind}"
    if kind == "npy":
        np.save(path, TABLE)
    elif kind == "npz":
        np.savez(path, features=TABLE, ids=np.array(NAMES), label=LABELS)
    elif kind == "safetensors":
        save_file({"features": TABLE}, path)
    elif kind == "csv":
        wide().to_csv(path, index=False)
    else:
        (lists() if how else wide()).to_parquet(path)
    return path


@pytest.mark.parametrize("form", ["npy", "npz", "safetensors", "csv", "parquet", "parquet lists"])
def test_every_form_of_file_gives_the_same_rows(tmp_path, form):
    data = td.load(f"features:{written(tmp_path, form)}")
    np.testing.assert_allclose(data.features, TABLE, atol=1e-5)
    assert not data.has_images
    assert len(data) == N
    assert "rows without images" in repr(data)
    if form not in ("npy", "safetensors"):
        assert data.ids.tolist() == NAMES
        assert [data.classes[c] for c in data.labels] == LABELS.tolist()
    if form in ("csv", "parquet"):
        assert data.attributes["camera"].tolist() == ["a", "b"] * (N // 2)
    if form in ("npy", "safetensors"):
        path = tmp_path / f"table.{form}"
        assert td.load(path).fingerprint == data.fingerprint  # by its ending
        assert td.load(str(path)).fingerprint == data.fingerprint


@pytest.mark.parametrize(
    "given",
    [
        TABLE,
        TABLE.astype(">f4"),
        TABLE.astype(np.longdouble),
        torch.from_numpy(TABLE),
        TABLE.tolist(),
        wide(),
    ],
)
def test_every_object_is_taken(given):
    data = td.load(given)
    np.testing.assert_allclose(data.features, TABLE, atol=1e-6)
    assert not data.has_images


def test_labels_and_attributes_stand_beside_an_array():
    data = td.load(TABLE, labels=LABELS, attributes={"camera": ["a", "b"] * (N // 2)})
    assert data.classes == ("no", "yes")
    assert list(data.attributes.columns) == ["camera"]
    assert (data.target("attr:camera").labels_N == np.arange(N) % 2).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.where(np.arange(P) == 3, np.inf, TABLE), "400 of 400 images have missing or infinite"),
        (wide().assign(image_id=["one"] * N), "1 distinct ids for 400 rows"),
        (TABLE.astype(np.float64) * 1e200, "400 of 400 images have missing or infinite"),
        (np.zeros((0, P)), "no rows"),
        ("features:none.npy", "no such file"),
    ],
)
def test_what_cannot_be_used_is_refused(given, message):
    with pytest.raises(td.DataError, match=message) as caught:
        td.load(given)
    assert caught.value.hint


def test_a_text_names_a_place_and_no_more():
    assert reach_of("data", "features:x.npy") is Reach.OUTSIDE
    assert reach_of("features", "data") is Reach.INSIDE


@pytest.fixture(scope="module")
def found():
    return td.discover(td.load(TABLE, labels=LABELS), method=BRIEF, tasks=2, **QUIET)


def test_pursuit_is_the_default_and_finds_what_was_planted(found):
    assert found.numbers["method"] == "pursuit"
    assert found.config["features"] == "data"
    alike = np.abs(np.corrcoef(found.tasks.labels_ND.T, HIDDEN.T)[:2, 2:])
    assert alike.max(axis=1).min() > 0.9
    assert td.discover(td.load(TABLE), tasks=2, **QUIET).numbers["method"] == "pursuit"


def test_scores_by_default_are_those_of_ridges_on_disjoint_halves(found):
    data = td.load(TABLE, labels=LABELS)
    scores = td.score(data, found, **QUIET)
    rows = scores.to_frame().set_index("task")
    assert set(rows["learner"]) == {"ridge"}
    assert rows.loc["task_000", "agreement"] > 0.9
    assert rows.loc["random", "agreement"] < 0.8
    assert (td.score(data, found, **QUIET).to_frame() == scores.to_frame()).all().all()


@pytest.mark.parametrize("learner", ["ridge", "logistic", "mlp?width=0.1", "linear"])
def test_each_learner_on_features_learns(learner):
    data = td.load(TABLE, labels=LABELS)
    scores = td.score(
        data, "label", learner=learner, epochs=20, batch=64, learning_rate=1e-2, **QUIET
    )
    row = scores.to_frame().set_index("task").loc["label"]
    assert row["accuracy"] > 0.9
    assert row["learner"] == learner


class Own(torch.nn.Module):
    """A network of the user's own, on features."""

    def __init__(self, outputs, image_shape):
        super().__init__()
        self.shape = image_shape
        self.layer = torch.nn.Linear(image_shape[2], outputs)

    def forward(self, x):
        assert x.shape[1:] == (P, 1, 1)
        return self.layer(x.flatten(1))


def test_a_network_of_ones_own_is_asked_with_features():
    data = td.load(TABLE, labels=LABELS)
    scores = td.score(data, "label", learner=Own, epochs=20, batch=64, **QUIET)
    assert scores["label"].accuracy > 0.8


def test_workers_see_the_same_features_as_this_process():
    data = td.load(TABLE.astype(np.float16), labels=LABELS)
    options = {"learner": "linear", "epochs": 3, "preset": "smoke", **QUIET}
    here = td.score(data, "label", executor="serial", **options)
    there = td.score(data, "label", executor="processes", jobs=2, **options)
    assert (here.to_frame() == there.to_frame()).all().all()


@pytest.mark.parametrize("learner", ["convnet", "vit", "resnet18"])
def test_learners_that_look_at_pixels_are_refused_before_anything_long(learner):
    with pytest.raises(td.ConfigError, match="looks at pixels") as caught:
        td.score(td.load(TABLE, labels=LABELS), "label", learner=learner, **QUIET)
    assert "ridge" in caught.value.hint
    with pytest.raises(td.ConfigError, match="pixels"):
        td.discover(td.load(TABLE), method="spectral", **QUIET)


def test_learners_on_features_need_some():
    with pytest.raises(td.ConfigError, match="looks at features") as caught:
        td.score("digits", "label", learner="logistic", **QUIET)
    assert "--features" in caught.value.hint
    with pytest.raises(td.ConfigError, match="it has none"):
        td.score("digits", "label", features="data", **QUIET)
    with pytest.raises(td.ConfigError, match="no run ends early"):
        td.score(td.load(TABLE, labels=LABELS), "label", early=True, **QUIET)


@pytest.mark.parametrize("learner", ["ridge", "linear"])
def test_a_split_breaks_a_learner_on_features(found, learner):
    data = td.load(TABLE, labels=LABELS)
    other = td.Labeling.from_values("cut", HIDDEN[:, 1], data.ids)
    target = td.Labeling.from_values("both", HIDDEN[:, 0], data.ids)
    # The task that is planted the more strongly is learnt in place of the target.
    broken = td.split(
        data, target, other, learner=learner, epochs=30, batch=64, learning_rate=0.05, **QUIET
    )
    assert broken.accuracy["within"].mean > 0.9
    assert broken.accuracy["random"].mean > 0.85
    assert broken.accuracy["adversarial"].mean < broken.accuracy["random"].mean - 0.2
    assert set(broken.accuracy) == {
        "adversarial", "random", "within", "untrained", "hard", "kmeans",
    }  # fmt: skip


def test_a_split_on_features_is_tried_on_pixels():
    images = np.random.default_rng(3).integers(0, 256, (N, 6, 6, 3), dtype=np.uint8)
    data = td.load(td.load(images, labels=LABELS), features=TABLE)
    cut = td.Labeling.from_values("cut", HIDDEN[:, 1], data.ids)
    broken = td.split(
        data, "label", cut, learner="ridge", transfer=["mlp?width=0.1", "convnet?width=0.1"],
        preset="smoke", runs=1, **QUIET,
    )  # fmt: skip
    within = {name: own["within"].mean for name, own in broken.transfer.items()}
    assert within["mlp?width=0.1"] > within["convnet?width=0.1"] + 0.1  # pixels are noise


def test_labels_of_other_rows_come_from_their_features(found):
    other, _ = planted(1)
    tasks = td.label(found, other, callbacks=())
    assert tasks.labels_ND.shape == (N, 2)
    assert (td.label(found, TABLE, callbacks=()).labels_ND == found.tasks.labels_ND).all()


def test_rows_that_discovery_has_seen_are_known_by_their_content(found):
    order = np.random.default_rng(5).permutation(N)
    tasks = td.label(found, TABLE[order], callbacks=())
    assert (tasks.seen_N >= found.tasks.seen_N[order]).all()


def test_the_command_line_goes_the_whole_way_without_data(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lists().to_parquet("t.parquet")
    brief = ["--starts", "60", "--rounds", "5", "--tasks", "2", "--threads", "1", "--quiet"]
    assert main(["info", "features:t.parquet", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["features"] == "12, float32"
    assert main(["info", "features:t.parquet", "--report", "i.html", "--quiet"]) == 0
    assert main(["discover", "--features", "t.parquet", *brief, "--out", "run"]) == 0
    assert td.open_run("run").config["data"] == "features:t.parquet"
    assert main(["score", "features:t.parquet", "--from", "run", "--quiet"]) == 0
    more = ["--target", "label", "--runs", "1", "--quiet"]
    assert main(["split", "features:t.parquet", "--from", "run", *more]) == 0
    assert main(["label", "run", "features:t.parquet", "--out", "l.csv", "--quiet"]) == 0
    assert main(["analyze", "run", "--quiet"]) == 0
    assert main(["report", "run", "--quiet"]) == 0
    assert main(["verify", "run", "--quiet"]) == 0
    run = td.open_run("run")
    assert run.evidence.probes.empty
    assert "label" in set(run.evidence.associations["factor"])
    page = (tmp_path / "run/report.html").read_text("utf-8")
    assert "row-" in page
    assert "data:image" not in page
    shutil.copytree("run", "other")
    assert main(["report", "other", "--features", "none.npy", "--quiet"]) == 3


def test_a_report_shows_thumbnails_where_ids_name_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f"{i:03d}.png" for i in range(N)]
    for i, name in enumerate(names):
        Image.new("RGB", (9, 7), (i % 256, 40, 90)).save(name)
    (tmp_path / names[50]).write_bytes(b"no picture")
    lists().assign(image_id=names).to_parquet("t.parquet")
    data = td.load("features:t.parquet")
    found = td.discover(data, method=BRIEF, tasks=1, **QUIET)
    page = td.report("r.html", data, found).read_text("utf-8")
    assert "data:image/jpeg" in page


def test_a_table_that_has_changed_is_noticed_by_resume(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("f.npy", TABLE)
    images = np.random.default_rng(3).integers(0, 256, (N, 6, 6, 3), dtype=np.uint8)
    np.savez("d.npz", images=images, labels=HIDDEN[:, 0])

    class Stop(td.Callback):
        def on_score(self, score, remembered):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        td.score("npz:d.npz", "label", features="f.npy", out="run", callbacks=[Stop()])
    np.save("f.npy", TABLE + 1)
    with pytest.raises(td.RunDirError):
        td.resume("run", callbacks=())
    np.save("f.npy", TABLE)
    assert len(td.resume("run", callbacks=())) == 2


def test_a_task_of_unequal_rates_cuts_each_class_in_halves():
    rng = np.random.default_rng(4)
    rare = rng.random(N) < 0.25
    table = TABLE + 8 * np.outer(rare, rng.normal(size=P))
    data = td.load(table.astype(np.float32), labels=LABELS)
    cut = td.Labeling(
        name="rare",
        classes=("0", "1"),
        labels_N=rare.astype(np.int64),
        ids_N=data.ids,
        coordinates_NC=(rare - 0.5 + 0.1 * rng.normal(size=N)).astype(np.float32)[:, None],
    )
    given = {"controls": ["random"], "runs": 1, **QUIET}
    broken = td.split(data, "label", cut, **given)
    assert broken.setup.class_balanced
    on_train = np.isin(broken.role_N, (0, 1))
    for c in range(2):
        assert abs(on_train[data.labels == c].mean() - 0.5) < 0.01
    assert not td.split(data, "label", cut, class_balanced=False, **given).setup.class_balanced
    even = td.Labeling.from_values("even", HIDDEN[:, 1], data.ids)
    assert not td.split(data, "label", even, **given).setup.class_balanced


def test_rows_that_are_copies_are_no_reason_for_warnings(recwarn):
    table = (TABLE[:, :3] > 0).astype(np.float32)
    found = td.discover(td.load(table), method=BRIEF, tasks=2, **QUIET)
    assert len(found.tasks) >= 1
    assert not [w for w in recwarn if "clusters" in str(w.message)]
