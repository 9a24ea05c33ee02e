"""The library as a notebook uses it: objects in, objects out, nothing on disk unless asked for."""

import contextlib
import inspect
import random
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import taskdiscovery as td
from taskdiscovery.config import flag_of, key_of, options
from taskdiscovery.discovery import METHODS
from taskdiscovery.jobs import CONFIGS

CHEAP = {"preset": "smoke", "runs": 2, "epochs": 1, "batch": 64, "threads": 1, "callbacks": ()}
BRIEF = {"epochs": 2, "encoder_epochs": 2, "batch": 64, "threads": 1, "callbacks": ()}
TWO = td.Power(iterations=2)


class Net(nn.Module):
    """A network of a notebook: a class, of which nothing is registered anywhere."""

    def __init__(self, outputs, image_shape):
        super().__init__()
        height, width, channels = image_shape
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(height * width * channels, 32),
            nn.ReLU(),
            nn.Linear(32, outputs),
        )

    def forward(self, x):
        assert x.dtype == torch.float32
        assert x.shape[1] == 1 or x.shape[1] == 3
        return self.layers(x)


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path_factory, monkeypatch):
    place = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(place)
    yield
    assert [p for p in place.rglob("*") if p.name != "report.html"] == [], "something was written"


@pytest.fixture(scope="module")
def arrays():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return np.round(bunch.images * (255 / 16)).astype(np.uint8), bunch.target


def test_a_notebook_from_arrays_to_a_report(arrays):
    images, digit = arrays
    data = td.load(images, labels=digit)
    found = td.discover(data, tasks=3, method=TWO, learner=Net, **BRIEF)
    assert [task.name for task in found.tasks] == ["task_000", "task_001", "task_002"]
    assert (found.encoder.predict(images[:, :, :, None]) == found.tasks.labels_ND).all()
    assert found.encoder.transform(data.images[:5]).shape == (5, 3)
    assert found.tasks["task_002"].labels_N.tolist() == found.tasks[2].labels_N.tolist()
    assert len(found.tasks[:2]) == 2

    even = digit % 2
    scores = td.score(data, [even, *found.tasks], learner=Net, **CHEAP)
    names = ["labels", "task_000", "task_001", "task_002", "label:0,1,2,3,4", "random"]
    assert scores.to_frame()["task"].tolist() == names
    unseen = set(data.ids[~found.tasks.seen_N])
    assert set(scores["task_001"].per_image.index) <= unseen
    assert scores["task_001"].per_image.mean() == pytest.approx(scores["task_001"].agreement)
    assert scores[0].learner.endswith(":Net")

    target = pd.Series(np.where(digit < 5, "low", "high"), index=data.ids, name="size")
    shuffled = target.sample(frac=1, random_state=0)  # matched by id, not by order
    broken = td.split(data, shuffled, found.tasks, learner=Net, transfer=[Net, "linear"], **CHEAP)
    assert broken.target.classes == ("high", "low")
    assert (np.array(broken.target.to_series()) == target.to_numpy()).all()
    assert set(broken.accuracy) >= {"adversarial", "random", "within", "hard"}
    assert len(broken.train_ids) + len(broken.within_ids) + len(broken.test_ids) == len(data)
    assert 0 <= broken.accuracy["adversarial"].mean <= 1
    assert set(broken.subsets()) == {"train", "within", "test"}

    evidence = td.analyze(data, found, images=100, probe_images=40, threads=1, callbacks=())
    assert list(evidence.verdicts) == list(found.tasks.names)
    page = td.report("report.html", data, found, scores, broken, evidence)
    text = page.read_text("utf-8")
    assert 'id="split-0"' in text
    assert "task_002" in text
    assert evidence.verdicts["task_000"].split(";")[0] in text.replace("&#39;", "'")


def test_the_same_from_a_torch_data_set(arrays):
    images, digit = arrays

    class Digits(torch.utils.data.Dataset):
        classes = tuple("0123456789")

        def __len__(self):
            return len(images)

        def __getitem__(self, i):
            return torch.from_numpy(images[i])[None].float() / 255, int(digit[i])

    own = Digits()
    found = td.discover(own, tasks=2, method="spectral", learner="linear", **BRIEF)
    plain = td.discover(images, tasks=2, method="spectral", learner="linear", **BRIEF)
    assert (found.tasks.labels_ND == plain.tasks.labels_ND).all()
    broken = td.split(own, "label:0,1,2,3,4", found, learner="linear", **CHEAP)
    subsets = broken.subsets(own)
    assert len(subsets["test"]) == len(broken.test_ids)
    _, label = subsets["test"][0]
    assert label == digit[broken.indices(2)[0]]


def test_the_same_from_a_frame_of_paths(arrays, tmp_path):
    images, digit = arrays
    rows = []
    for i in range(300):
        path = tmp_path / f"{i:04d}.png"
        Image.fromarray(images[i]).save(path)
        rows.append({"path": str(path), "label": f"digit {digit[i]}", "bright": images[i].mean()})
    frame = pd.DataFrame(rows)
    data = td.load(frame)
    assert (data.images[:, :, :, 0] == images[:300]).all()
    assert data.classes[3] == "digit 3"
    assert data.ids[7] == rows[7]["path"]
    assert data.attributes["bright"][5] == frame["bright"][5]
    found = td.discover(frame, tasks=2, method="spectral", learner="linear", **BRIEF)
    even = pd.Series(digit[:300] % 2, index=frame["path"])
    scores = td.score(frame, [even, found], learner="linear", **CHEAP)
    assert [s.task for s in scores][:3] == ["labels", "task_000", "task_001"]
    assert set(scores[0].per_image.index) <= set(frame["path"])


def test_a_run_gives_the_same_objects_from_disk(arrays, tmp_path):
    images, digit = arrays
    data, place = td.load(images, labels=digit), tmp_path / "run"
    found = td.discover(data, tasks=2, method=TWO, learner=Net, out=place, **BRIEF)
    scores = td.score(data, found, learner=Net, out=place, **CHEAP)
    broken = td.split(data, "label:0,1,2,3,4", found, learner=Net, out=place, **CHEAP)
    evidence = td.analyze(
        data, found, images=100, probe_images=40, threads=1, callbacks=(), out=place
    )

    run = td.open_run(place, learner=Net)
    assert (run.tasks.labels_ND == found.tasks.labels_ND).all()
    assert (run.tasks.coordinates_NP == found.tasks.coordinates_NP).all()
    assert (run.tasks.seen_N == found.tasks.seen_N).all()
    assert run.tasks.ids_N.tolist() == data.ids.tolist()
    assert (run.encoder.predict(data.images) == found.tasks.labels_ND).all()
    pd.testing.assert_frame_equal(run.scores.to_frame(), scores.to_frame())
    for score in scores:
        pd.testing.assert_series_equal(run.scores[score.task].per_image, score.per_image)
    pd.testing.assert_frame_equal(run.split.to_frame(), broken.to_frame())
    assert run.split.numbers == broken.numbers
    assert run.split.accuracy["hard"].mean == broken.accuracy["hard"].mean
    assert run.evidence.verdicts == evidence.verdicts
    pd.testing.assert_frame_equal(run.evidence.associations, evidence.associations)
    assert run.discovery.numbers == found.numbers

    again = td.score(data, run, learner=Net, **CHEAP)
    assert again.to_frame().equals(scores.to_frame())
    labelled = td.label(run, images[5:9], callbacks=())
    assert (labelled.labels_ND == found.tasks.labels_ND[5:9]).all()
    with pytest.raises(td.RunDirError, match="runs code of its own"):
        _ = td.open_run(place).encoder
    page = td.report(tmp_path / "report.html", data, run)
    assert 'id="split-0"' in page.read_text("utf-8")
    td.report(tmp_path / "other.html", data, run, again)


def test_what_a_stopped_job_was_given_as_objects_is_given_again(arrays, tmp_path):
    images, digit = arrays
    data, place = td.load(images, labels=digit), tmp_path / "run"

    class Stop(td.Callback):
        def on_checkpoint(self, number):
            if number == 3:
                raise KeyboardInterrupt

    labels = [digit % 2, digit % 3 == 0]
    given = {**CHEAP, "callbacks": [Stop()], "learner": Net}
    with pytest.raises(KeyboardInterrupt):
        td.score(data, labels, out=place, **given)
    with pytest.raises(td.RunDirError, match="--data"):
        td.resume(place, tasks=labels, learner=Net)
    with pytest.raises(td.RunDirError, match="labelings"):
        td.resume(place, data=data, tasks=[digit % 2, digit % 5 == 0], learner=Net, callbacks=())
    done = td.resume(place, data=data, tasks=labels, learner=Net, callbacks=())
    whole = td.score(data, labels, learner=Net, **CHEAP)
    pd.testing.assert_frame_equal(done.to_frame(), whole.to_frame())
    again = td.resume(place, data=data, tasks=labels, learner=Net, callbacks=())
    pd.testing.assert_frame_equal(again.to_frame(), done.to_frame())


@pytest.mark.parametrize(
    "verb",
    [
        *("discover", "score", "split", "analyze", "label", "embed", "fit", "plant", "audit"),
        *("estimate", "stress"),
    ],
)
def test_a_verb_has_the_options_of_its_command(verb):
    """One source: the config. The verbs spell it out, so that an editor completes it."""
    beside = {"out", "callbacks"}
    positional = {"discover": 1, "split": 3, "embed": 1, "audit": 3, "stress": 3}.get(verb, 2)
    # What the command line takes as text, the library takes as objects, by position.
    objects = {"score": {"target", "from"}, "split": {"target", "from"}, "fit": {"target"}}
    objects |= {"plant": {"target"}, "stress": {"target", "from"}}
    objects |= {"audit": {"target", "from", "other"}, "estimate": {"target", "from", "on"}}
    objects = objects.get(verb, set())
    given = list(inspect.signature(getattr(td, verb)).parameters.values())
    assert all(p.kind == p.POSITIONAL_OR_KEYWORD for p in given[:positional])
    own = {p.name: p for p in given[positional:]}
    assert all(p.kind == p.KEYWORD_ONLY for p in own.values())
    known = {key_of(item): item for item in options(CONFIGS[verb])}
    trusted = {"label": {"learner"}, "analyze": {"learner"}}  # classes of a run, named again
    more = {"discover": {"method"}, "audit": {"other", "no_images", "blur"}, **trusted}
    more |= {"estimate": {"on", "tasks"}}
    more = more.get(verb, set())
    assert set(own) - beside - more == set(known) - objects
    for name in set(own) - beside - more:
        default, item = own[name].default, known[name]
        assert default == item.default or (name == "learner" and default == item.default), name
        assert own[name].annotation not in ("Any", inspect.Parameter.empty), name


def test_the_command_line_has_the_options_of_the_configs():
    from taskdiscovery.cli.parser import build

    commands = build()._subparsers._group_actions[0].choices
    for name, config in CONFIGS.items():
        flags = {f for action in commands[name]._actions for f in action.option_strings}
        wanted = {flag_of(key_of(item)) for item in options(config)}
        if name == "discover":
            wanted |= {flag_of(key_of(i)) for kind in METHODS.values() for i in options(kind)}
            wanted.add("--method")
        assert wanted <= flags, name
        others = {f for f in flags if f.startswith("--") and not f.startswith("--no-")} - wanted
        common = {"--help", "--quiet", "--debug", "--out", "--config", "--print-config", "--format"}
        common |= {"--estimate-accuracy", "--log"}
        assert others <= common | {"--data", "--learner", "--strict", "--blur"}, name


def test_the_process_is_left_as_it_was_found(arrays):
    images, digit = arrays
    torch.set_num_threads(2)
    np.random.seed(5)
    random.seed(5)
    torch.manual_seed(5)
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    states = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()
    td.discover(images, tasks=2, method=TWO, learner="linear", **BRIEF)
    td.score(images, digit % 2, learner="linear", **CHEAP)
    with contextlib.suppress(td.TaskDiscoveryError):
        td.score(images, digit * 0, learner="linear", **CHEAP)
    assert torch.get_num_threads() == 2
    assert (np.random.get_state()[1] == states[0]).all()
    assert random.getstate() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])
    assert {n: signal.getsignal(n) for n in handlers} == handlers


def test_callbacks_are_told_of_everything(arrays, tmp_path):
    images, digit = arrays
    told = []

    class Told(td.Callback):
        def on_job_start(self, job):
            told.append(("start", job.command, job.config["seed"]))

        def on_job_end(self, job, error):
            told.append(("end", job.command, type(error).__name__))

        def on_stage_start(self, stage, total):
            self.left = total

        def on_progress(self, stage, amount, note):
            self.left -= amount

        def on_stage_end(self, stage):
            told.append(("stage", stage, round(self.left)))

        def on_iteration(self, numbers):
            told.append(("iteration", numbers["iteration"]))

        def on_outer_step(self, numbers):
            told.append(("outer step", numbers["step"]))

        def on_score(self, score, *, remembered):
            told.append(("score", score.task, remembered))

        def on_checkpoint(self, number):
            told.append(("checkpoint",))

    given = {**BRIEF, "callbacks": [Told()], "learner": "linear"}
    td.discover(images, tasks=2, method=TWO, **given)
    assert told == [
        ("start", "discover", 0),
        ("iteration", 1),
        ("iteration", 2),
        ("stage", "power iteration", 0),
        ("stage", "fitting the encoder", 0),
        ("end", "discover", "NoneType"),
    ]
    told.clear()
    meta = td.Meta(outer_steps=2, inner_steps=2, inner_batch=16)
    td.discover(images, tasks=2, method=meta, **given)
    assert [t for t in told if t[0] == "outer step"] == [("outer step", 1), ("outer step", 2)]
    told.clear()
    td.score(
        images, digit % 2, learner="linear", **{**CHEAP, "callbacks": [Told()]}, out=tmp_path / "r"
    )
    assert [t for t in told if t[0] == "score"] == [
        ("score", "labels", False),
        ("score", "random", False),
    ]
    assert ("checkpoint",) in told
    told.clear()
    with pytest.raises(td.TaskDiscoveryError):
        td.score(
            images, digit % 2, learner="linear", train_images=2, **{**CHEAP, "callbacks": [Told()]}
        )
    assert told[-1][0] == "end"
    assert told[-1][2] == "DataError"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros((50, 7)), "every row of features is the same"),
        (np.full((50, 4, 4, 1), 300, dtype=np.int32), "of type int32"),
        (3, "cannot be read from int"),
        ({"train": 1, "test": 2}, "data\\['train'\\]"),
        (pd.DataFrame({"a": [1, 2]}), "no column of files or images"),
        (pd.DataFrame({"path": ["nowhere.png"]}), "do not exist"),
        ("fodler:photos", "'folder'"),
        ("nowhere", "unknown kind of data"),
    ],
)
def test_data_that_is_none(data, words):
    with pytest.raises((td.DataError, td.ConfigError), match=words):
        td.load(data)


def test_channels_in_front_are_turned(arrays):
    images = np.repeat(arrays[0][:40, None], 3, axis=1)
    assert td.load(images).image_shape == (8, 8, 3)
    assert td.load(torch.from_numpy(images)).image_shape == (8, 8, 3)
    assert (td.load(images).images[:, :, :, 1] == arrays[0][:40]).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda d: td.discover(d, learner=Net(2, (8, 8, 1))), "a learner cannot be Net"),
        (lambda d: td.discover(d, learner="convnett"), "'convnet'"),
        (lambda d: td.discover(d, method="pover"), "'power'"),
        (lambda d: td.discover(d, method=3), "method cannot be 3"),
        (lambda d: td.discover(d, exclude=[1]), "exclude must be a list of texts"),
        (lambda d: td.Power(iterations=0), "iterations is 0"),
        (lambda d: td.score(d, np.arange(5)), "5 labels for 60 images"),
        (lambda d: td.score(d, np.zeros((60, 2, 2))), "have shape"),
        (lambda d: td.score(d, []), "no labeling"),
        (lambda d: td.score(d, pd.Series([1, 0], index=["a", "b"])), "no id matches"),
        (lambda d: td.score(d, np.zeros(60)), "the same class"),
        (lambda d: td.score(d, "runs/none.csv"), "no such file"),
        (lambda d: td.score(d, "lable"), "'label'"),
        (lambda d: td.score(d, ["cat", "dog"] * 10), "20 labels for 60 images"),
        (lambda d: td.split(d, np.arange(60) % 2, np.arange(60) % 3), "only binary tasks"),
        (lambda d: td.analyze(d, 3), "labels have shape"),
        (lambda d: td.load(d.images, size="8"), "size is '8'"),
        (lambda d: td.load(d.images, size=0), "size is 0"),
        (
            lambda d: td.split(d, pd.DataFrame({"a": [0, 1] * 30, "b": [1, 0] * 30}), [0, 1] * 30),
            "2 columns",
        ),
        (lambda d: td.label(3, d), "cannot label images"),
        (lambda d: td.report("x.html", d), "no tasks to report"),
        (lambda d: td.report("x.html", d, 3), "cannot show int"),
        (lambda d: td.open_run("nowhere"), "not a run directory"),
        (
            lambda d: td.score(
                d, np.arange(60) % 2, learner=td.Learner(Net, td.Recipe(epochs=3)), epochs=4
            ),
            "epochs is given beside",
        ),
    ],
)
def test_wrong_arguments_raise_the_packages_own_errors(call, words):
    rng = np.random.default_rng(0)
    data = td.load(rng.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8))
    with pytest.raises(td.TaskDiscoveryError, match=words):
        call(data)


def test_a_learner_with_a_recipe_of_its_own(arrays):
    images, digit = arrays
    own = td.Learner(Net, td.Recipe(epochs=2, batch=128, learning_rate=0.01, optimizer="sgd"))
    given = {k: v for k, v in CHEAP.items() if k not in ("epochs", "batch")}
    a = td.score(images, digit % 2, learner=own, **given)
    flat = {"epochs": 2, "batch": 128, "learning_rate": 0.01, "optimizer": "sgd"}
    b = td.score(images, digit % 2, learner=Net, **given, **flat)
    assert a.to_frame().equals(b.to_frame())
    flipped = td.Learner(Net, td.Recipe(augment=("flip",)))
    c = td.score(images, digit % 2, learner=flipped, **CHEAP)
    assert c[0].learner.endswith("Net?augment=flip")


def test_tasks_that_came_from_elsewhere_are_matched_by_id(arrays):
    images, digit = arrays
    data = td.load(images, labels=digit)
    found = td.discover(data, tasks=2, method="spectral", learner="linear", **BRIEF)
    part = td.from_arrays(images[100:], digit[100:], ids=[str(i) for i in range(100, 1797)])
    scores = td.score(part, found.tasks, learner="linear", **CHEAP)
    assert not found.tasks.seen_N[100:][scores[0].rows_n].any()
    other = td.from_arrays(images[::-1].copy(), ids=[f"x{i}" for i in range(1797)])
    seen = set(np.flatnonzero(found.tasks.seen_N[::-1]))
    scores = td.score(other, found, learner="linear", **CHEAP)  # labelled by the encoder
    assert not seen & set(scores[0].rows_n.tolist())


def test_a_factory_may_be_defined_anywhere(arrays):
    images, digit = arrays

    def factory(num_classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))

    scores = td.score(images, digit % 2, learner=factory, **CHEAP)
    assert scores[0].learner.endswith("<locals>.factory")
    broken = td.split(images, digit % 2, "untrained:linear", learner=factory, **CHEAP)
    assert broken.task.name == "untrained:linear"


def test_arrays_of_labelings(arrays):
    images, digit = arrays
    both = np.stack([digit % 2, digit // 5], axis=1)
    frame = pd.DataFrame(both, columns=["even", "high"])
    a = td.score(images, both, learner="linear", **CHEAP)
    b = td.score(images, frame, learner="linear", **CHEAP)
    assert [s.task for s in a] == ["labels", "labels (2)", "random"]
    assert [s.task for s in b] == ["even", "high", "random"]
    assert [s.agreement for s in a] == [s.agreement for s in b]


def test_a_recipe_counts_even_where_it_is_what_the_package_would_take():
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    given = {"runs": 2, "preset": "smoke", "batch": 64, "threads": 1}  # smoke has two epochs
    told = Epochs()
    six = td.Learner("linear", td.Recipe(epochs=6))
    td.score(images, np.arange(60) % 2, learner=six, callbacks=[told], **given)
    assert told.epochs == 6
    with pytest.raises(td.ConfigError, match="recipe of its own"):
        td.split(images, np.arange(60) % 2, "untrained:linear", transfer=[six], **given)


class Epochs(td.Callback):
    """Remembers how long a job trains."""

    epochs = None

    def on_job_start(self, job):
        self.epochs = job.config["epochs"]


def test_tasks_of_other_images_are_not_taken_for_these(arrays):
    images, digit = arrays
    data, turned = td.load(images, labels=digit), td.load(images[::-1].copy(), labels=digit[::-1])
    found = td.discover(data, tasks=2, method="spectral", learner="linear", **BRIEF)
    scored = td.score(turned, found, learner="linear", **CHEAP)
    seen = set(np.flatnonzero(found.tasks.seen_N[::-1]))
    assert not seen & set(scored[0].rows_n.tolist()), "measured on what discovery saw"
    with pytest.raises(td.DataError, match="of other images"):
        td.score(turned, found.tasks, learner="linear", **CHEAP)

    labelled = td.label(found, data, callbacks=())
    assert np.array_equal(labelled.labels_ND, found.tasks.labels_ND)
    scored = td.score(data, labelled, learner="linear", **CHEAP | {"seed": 5})
    assert not found.tasks.seen_N[scored[0].rows_n].any()
    new = td.label(found, images[:3] // 2, callbacks=())
    assert new.seen_N is None


def test_scores_of_other_images_are_not_put_into_a_run(arrays, tmp_path_factory):
    images, digit = arrays
    place = tmp_path_factory.mktemp("runs") / "a"
    given = {"learner": "linear", **CHEAP}
    first = td.score(images, digit % 2, out=place, **given)
    td.score(images, digit % 3, out=place, **given)
    with pytest.raises(td.RunDirError, match="of other images"):
        td.score(images[:500], digit[:500] % 2, out=place, **given)
    kept = td.open_run(place).scores
    assert kept[0].ids_n.tolist() == first[0].ids_n.tolist()
    assert "random" in kept
    assert len(kept + kept) == 2 * len(kept)


def test_torch_is_the_usual_one_inside_and_as_it_was_outside(arrays):
    images, digit = arrays
    data = td.load(images[:300], labels=digit[:300])
    given = {"tasks": 2, "learner": "mlp?width=0.1", **BRIEF}
    expected = td.discover(data, **given).tasks.coordinates_NP
    with torch.no_grad():
        assert np.array_equal(td.discover(data, **given).tasks.coordinates_NP, expected)
        assert not torch.is_grad_enabled()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert np.array_equal(td.discover(data, **given).tasks.coordinates_NP, expected)
        assert torch.is_autocast_enabled("cpu")
    with torch.device("meta"):
        assert np.array_equal(td.discover(data, **given).tasks.coordinates_NP, expected)
    torch.set_default_dtype(torch.float64)
    try:
        assert np.array_equal(td.discover(data, **given).tasks.coordinates_NP, expected)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_calls_of_several_threads_do_not_disturb_each_other(arrays):
    images, digit = arrays
    data = td.load(images[:300], labels=digit[:300])
    given = {"tasks": 2, "learner": "mlp?width=0.1", **BRIEF}
    expected = td.discover(data, **given).tasks.coordinates_NP
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda _: td.discover(data, **given), range(3)))
    assert all(np.array_equal(one.tasks.coordinates_NP, expected) for one in found)
    assert torch.equal(torch.get_rng_state(), before)


def test_values_say_what_they_are_in_a_line(arrays):
    images, digit = arrays
    data = td.load(images, labels=digit)
    found = td.discover(data, tasks=2, method="spectral", learner="linear", **BRIEF)
    scores = td.score(data, found, learner="linear", **CHEAP)
    broken = td.split(data, "label:0,1", found, learner="linear", controls=["random"], **CHEAP)
    evidence = td.analyze(data, found, images=100, probe_images=20, threads=1, callbacks=())
    assert repr(data) == "<Dataset array: 1,797 images, 8 x 8, 1 channel, 10 classes>"
    assert repr(found.tasks) == "<2 Tasks of 1,797 images: task_000, task_001>"
    assert repr(found.tasks[0]) == "<Labeling task_000 of 1,797 images, 2 classes: 0, 1>"
    assert repr(found).startswith("<Discovery by spectral, learner linear: <2 Tasks")
    assert repr(found.encoder) == "<Encoder linear of 2 tasks, for images of 8 x 8, 1 channel>"
    assert f"task_001: {scores['task_001'].agreement:.3f} (" in repr(scores)
    assert "agreement" in repr(scores[0])
    assert repr(broken).startswith("<Split of label:0,1 along task_00")
    assert evidence.verdicts["task_001"] in repr(evidence)
    for value in (data, found, *found.tasks, scores, broken, evidence):
        assert max(map(len, repr(value).splitlines())) < 400
        assert value._repr_html_().startswith("<table>")


def test_tasks_are_found_by_name_and_keep_the_names_of_their_classes(arrays):
    images, digit = arrays
    data = td.load(images, labels=np.where(digit < 5, "low", "high"))
    tasks = td.Tasks.of([data.target("label:low"), data.target("label")])
    assert tasks[0].classes == ("rest", "low")
    assert tasks[1:][0].classes == ("high", "low")
    assert "label" in tasks
    assert tasks[1] in tasks
    assert "label:high" not in tasks
    assert tasks.index("label") == tasks.index(tasks[1]) == 1


def test_an_encoder_takes_bytes_and_is_kept_in_a_file(arrays, tmp_path_factory):
    images, _ = arrays
    found = td.discover(images, tasks=2, method="spectral", learner="linear", **BRIEF)
    with pytest.raises(td.DataError, match="uint8 images, these are float64"):
        found.encoder.predict(images[..., None] / 255)
    path = tmp_path_factory.mktemp("encoders") / "encoder.safetensors"
    found.encoder.save(path)
    again = td.Encoder.load(path).predict(images[..., None])
    assert np.array_equal(again, found.tasks.labels_ND)


def test_subsets_feed_a_loader(arrays):
    images, digit = arrays
    data = td.load(images, labels=digit)
    broken = td.split(
        data, digit, "untrained:linear", learner="linear", controls=["random"], **CHEAP
    )
    for dataset in (None, data):
        subsets = broken.subsets(dataset)
        x, y = next(iter(torch.utils.data.DataLoader(subsets["test"], batch_size=4)))
        rows = broken.indices("test")[:4]
        assert torch.equal(x, torch.from_numpy(images[rows, :, :, None]))
        assert y.tolist() == digit[rows].tolist()
    with pytest.raises(td.ConfigError, match="'train'"):
        broken.indices("trian")


@pytest.mark.parametrize("given", [[print], [td.Callback], 3])
def test_a_callback_is_one(given):
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    with pytest.raises(td.ConfigError, match="is no callback"):
        td.score(images, np.arange(60) % 2, callbacks=given)


def test_labels_in_every_form_of_a_list():
    rng = np.random.default_rng(0)
    data = td.load(rng.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8))
    digits = np.arange(60) % 2
    names = ["no", "yes"]
    forms = {
        "texts": [names[d] for d in digits],
        "texts, the first missing": [None, *(names[d] for d in digits[1:])],
        "numbers": digits.tolist(),
        "tensors": [torch.tensor(d) for d in digits],
        "a generator": (int(d) for d in digits),
        "a mapping": {"a": digits, "b": 1 - digits},
        "a generator of arrays": (x for x in (digits, 1 - digits)),
    }
    for form, given in forms.items():
        scores = td.score(data, given, learner="linear", **CHEAP)
        expected = {"a mapping": ["a", "b"], "a generator of arrays": ["labels", "labels (2)"]}
        assert [s.task for s in scores] == [*expected.get(form, ["labels"]), "random"], form


def test_labels_beside_arrays_are_matched_by_row_numbers_and_never_ignored():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    digits = pd.Series(np.arange(60) % 3)
    columns = pd.DataFrame({"site": np.arange(60)})
    for index in (range(60), [str(i) for i in range(60)]):
        own, beside = digits.set_axis(index), columns.set_axis(list(index))
        shuffled = td.load(
            images,
            labels=own.sample(frac=1, random_state=0),
            attributes=beside.sample(frac=1, random_state=1),
        )
        assert shuffled.labels.tolist() == digits.tolist()
        assert shuffled.attributes["site"].tolist() == list(range(60))
    assert td.load(images, labels=digits.set_axis(range(100, 160))).labels.tolist() == [*digits]
    for data in ("digits", td.load(images)):
        with pytest.raises(td.ConfigError, match="labels are given beside"):
            td.load(data, labels=digits)
