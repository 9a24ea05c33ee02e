"""Networks of the user's pass one table: each works, or is refused before anything long."""

import itertools
import json
import logging
import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import taskdiscovery as td
from own_networks import (
    AlwaysDrops,
    AskedTwice,
    AuxInTraining,
    BatchStatistics,
    BigBatches,
    Bounded,
    Broken,
    Classes,
    Detached,
    DividesByZero,
    DoubledInPlace,
    FeaturesFirst,
    FlattensPixels,
    Frozen,
    Half,
    InADict,
    InAList,
    InANamedDict,
    InAnObject,
    InATuple,
    InNumPy,
    Masked,
    MoreArguments,
    MoreInputs,
    NeverLazy,
    NoParameters,
    NotFinite,
    NotSaved,
    OwnState,
    Plain,
    Reshaped,
    Squeezed,
    Tied,
    UnusedLast,
    Viewed,
    ViewsPixels,
    Wants,
    WantsBigGrey,
    WantsGrey,
    WeightNormed,
    WithAxesOfOne,
    WrongOutputs,
    lazy,
    no_module,
    not_lazy,
    one,
    raises,
)
from taskdiscovery import networks
from taskdiscovery.cli import main
from taskdiscovery.config import ResolvedLearner, Use, name_of
from taskdiscovery.encoders.encoder import Encoder
from taskdiscovery.networks import Normalization, preflight
from taskdiscovery.training import steps as updates

SHAPE = (12, 12, 3)
VERBS = ("score", "spectral", "power", "meta")


NO_HEAD = dict.fromkeys(("spectral", "meta"), "does not end in a linear layer")
NOT_ALONE = dict.fromkeys(("spectral", "power", "meta"), "what else is in its batch")


@dataclass(frozen=True)
class Case:
    """What a network comes to.

    Attributes:
        network: a class or a factory.
        same: a network that gives the same numbers, where it works.
        refused: words of the refusal, where it does not, of each verb or of all.
    """

    network: object
    same: object = None
    refused: object = field(default_factory=dict)

    def words(self, verb):
        return self.refused if isinstance(self.refused, str) else self.refused.get(verb)


CASES = {
    "plain": Case(Plain, Plain),
    "tuple": Case(InATuple, Plain),
    "list": Case(InAList, Plain),
    "dict with one that fits": Case(InADict, Plain),
    "dict with 'out'": Case(InANamedDict, Plain),
    "object with .logits": Case(InAnObject, Plain),
    "auxiliary answer in training": Case(AuxInTraining, Plain),
    "unused last layer": Case(UnusedLast, Plain),
    "axes of one": Case(WithAxesOfOne, Plain),
    "squeezed": Case(Squeezed, Plain),
    "x.view of maps": Case(Viewed, Reshaped),
    "x.view of pixels": Case(ViewsPixels, FlattensPixels),
    "lazy": Case(lazy, not_lazy),
    "tied weights": Case(Tied, AskedTwice),
    "bounded": Case(Bounded, Bounded, NO_HEAD),
    "doubled in place": Case(DoubledInPlace, DoubledInPlace, NO_HEAD),
    "weight norm": Case(WeightNormed, WeightNormed, NO_HEAD),
    "wants 224 px": Case(Wants, refused=r"shape \(12, 12, 3\)(.|\n)*--size 224"),
    "wants grey": Case(WantsGrey, refused=r"shape \(12, 12, 3\)(.|\n)*1 channel:"),
    "wants grey of 28 px": Case(
        WantsBigGrey, refused=r"(.|\n)*--size 28; it takes images of 1 channel:"
    ),
    "raises": Case(raises, refused="AssertionError: no GPU, no network"),
    "broken": Case(Broken, refused=r"AttributeError: 'Broken' object has no attribute 'absent'"),
    "other outputs": Case(WrongOutputs, refused=r"gives \(2, \d\) of float32 for 2 images, not"),
    "features first": Case(FeaturesFirst, refused=r"a tuple of \(2, 16\) of float32; \(2, \d\)"),
    "classes": Case(Classes, refused=r"gives \(2,\) of int64 for 2 images"),
    "numpy": Case(InNumPy, refused="gives an object ndarray"),
    "detached": Case(Detached, refused="do not depend on its parameters"),
    "no parameters": Case(NoParameters, refused="no parameters that could be trained"),
    "all frozen": Case(Frozen, refused="no parameters that could be trained"),
    "more arguments": Case(MoreArguments, refused=r"missing 1 required (.|\n)*functools.partial"),
    "more inputs": Case(MoreInputs, refused="missing 1 required positional argument: 'mask'"),
    "no module": Case(no_module, refused="returned type"),
    "NaN weights": Case(NotFinite, refused="not finite: hidden.weight"),
    "infinite buffer": Case(Masked, refused="not finite: mask(.|\n)*persistent=False"),
    "infinite answers": Case(DividesByZero, refused="answers that are not finite"),
    "batch norm on a batch of two": Case(BigBatches, refused="fails on images"),
    "batch statistics": Case(BatchStatistics, BatchStatistics, NOT_ALONE),
    "drops in evaluation": Case(AlwaysDrops, refused="other answers to the same images"),
    "state that is not saved": Case(NotSaved, refused="register_buffer"),
    "state that is no tensor": Case(OwnState, refused="'_extra_state' in its state_dict, a dict"),
    "lazy and never used": Case(NeverLazy, refused="never uses its lazy layer of 'never.weight'"),
    "double": Case(Half, refused="fails on images"),
    "the same each time": Case(one, refused="the same network each time"),
}


@pytest.fixture(scope="module")
def images():
    """Two classes that differ in the brightness of their upper half."""
    rng = np.random.default_rng(0)
    y = np.arange(160) % 2
    x = rng.integers(0, 120, (160, *SHAPE), dtype=np.uint8)
    x[y == 1, :6] += 100
    return td.load(x, labels=y)


def do(verb, data, network, out=None):
    """Do a job with a network; return its numbers."""
    own = {"learner": network, "threads": 1, "precision": "float32", "executor": "serial"}
    own |= {"callbacks": (), "batch": 32, "out": out}
    if verb == "score":
        found = td.score(data, "label", preset="smoke", epochs=3, **own)
        return found.to_frame()[["task", "agreement", "accuracy", "kappa"]]
    methods = {
        "spectral": td.Spectral(),
        "power": td.Power(iterations=2),
        "meta": td.Meta(outer_steps=2, inner_steps=2, inner_batch=32),
    }
    return td.discover(data, tasks=3, method=methods[verb], epochs=2, encoder_epochs=2, **own)


@pytest.mark.parametrize(("name", "verb"), list(itertools.product(CASES, VERBS)))
def test_a_network_works_or_is_refused_before_anything_long(
    name, verb, images, tmp_path, monkeypatch
):
    case, steps = CASES[name], []
    real = updates.find_gradients
    monkeypatch.setattr(
        updates, "find_gradients", lambda *given: (steps.append(1), real(*given))[1]
    )
    out = tmp_path / "run"
    words = case.words(verb)
    if words:
        with pytest.raises(td.ConfigError, match=words) as caught:
            do(verb, images, case.network, out)
        assert caught.value.exit_code == 2
        assert name_of(case.network) in str(caught.value)
        assert len(str(caught.value).splitlines()) == 3
        assert (len(steps), out.exists()) == (0, False)
        return
    found, known = do(verb, images, case.network, out), do(verb, images, case.same)
    if verb == "score":
        assert found.equals(known)
        return
    assert np.array_equal(found.tasks.labels_ND, known.tasks.labels_ND)
    file, objects = out / "encoder.safetensors", {name_of(case.network): case.network}
    again = Encoder.load(file, objects)
    assert (again.predict(images.images) == found.tasks.labels_ND).all()
    assert (again.predict(images.images[7:8]) == found.tasks.labels_ND[7:8]).all()


def built(network, outputs=3, shape=SHAPE, seed=0):
    channels = shape[2]
    plain = Normalization((127.0,) * channels, (70.0,) * channels)
    return networks.build(network, shape, outputs, plain, seed)


def pictures(n=4, shape=SHAPE):
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=torch.manual_seed(1))


def test_the_other_spellings_learn_what_is_to_be_learned(images):
    found = do("score", images, Plain)
    assert found["accuracy"][0] > found["accuracy"][1] + 0.2


@pytest.mark.parametrize("network", [Plain, UnusedLast, AuxInTraining, InATuple, Tied, lazy])
def test_the_last_layer_is_the_one_that_is_asked_last(network):
    model = built(network).eval()
    head = networks.output_layer(model)
    assert head is networks.last_linear(model)
    assert head is (model.network[-1] if network is lazy else model.network.head)
    with torch.no_grad():
        seen, answers = networks.features(model, pictures()), model(pictures())
    assert seen.shape == (4, networks.feature_size(model))
    torch.testing.assert_close(head(seen), answers)


@pytest.mark.parametrize("network", [Bounded, DoubledInPlace, WeightNormed, AskedTwice])
def test_a_layer_that_is_not_the_end_gives_features_but_cannot_be_set(network):
    model = built(network).eval()
    assert networks.last_linear(model) is model.network.head
    assert (networks.output_layer(model) is None) == (network is not AskedTwice)
    with torch.no_grad():
        assert networks.features(model, pictures()).shape == (4, model.network.head.in_features)


@pytest.mark.parametrize("network", [lazy, Tied, Viewed, AuxInTraining])
def test_the_seed_alone_decides_the_weights_and_nothing_else_is_drawn(network):
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    made, same, other = built(network), built(network), built(network, seed=1)
    after = torch.random.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    drawn = [name for name, p in made.network.named_parameters() if p.dim() > 1]
    assert len(drawn) > 1
    states = [model.network.state_dict() for model in (made, same, other)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert not any(torch.equal(states[0][name], states[2][name]) for name in drawn)


def test_trying_a_network_leaves_no_trace_in_it():
    def factory(outputs, image_shape):
        made = not_lazy(outputs, image_shape)
        made[2].eval()
        return made

    model = built(factory)
    norm = model.network[2]
    assert [m.training for m in model.network] == [True, True, False, True, True]
    assert (int(norm.num_batches_tracked), float(norm.running_mean.abs().max())) == (0, 0.0)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(("network", "as_ever"), [(Plain, True), (Reshaped, True), (Viewed, False)])
def test_only_networks_that_need_it_get_images_laid_out_anew(network, as_ever):
    model, given = built(network), []
    conv = model.network.conv
    assert conv.weight.is_contiguous(memory_format=torch.channels_last) == as_ever
    model.network.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    model(pictures())
    assert given[0].is_contiguous(memory_format=torch.channels_last) == as_ever
    assert given[0].is_contiguous() != as_ever


def test_tied_weights_are_saved_under_each_name_and_tied_again(tmp_path, images):
    found = do("spectral", images, Tied, tmp_path / "run")
    content = safetensors.torch.load(found.encoder.to_bytes())
    assert torch.equal(content["network.first.weight"], content["network.second.weight"])
    again = Encoder.load(tmp_path / "run" / "encoder.safetensors", {name_of(Tied): Tied})
    assert again.model.network.first.weight is again.model.network.second.weight
    assert again.to_bytes() == (tmp_path / "run" / "encoder.safetensors").read_bytes()


class Pools(nn.Module):
    """Halves an image five times: one of fewer than 32 pixels is gone before."""

    def __init__(self, outputs, image_shape):
        super().__init__()
        layers = [layer for c in (3, 4, 4, 4, 4) for layer in (nn.Conv2d(c, 4, 1), nn.MaxPool2d(2))]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(outputs))

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize(
    ("network", "shape", "words"),
    [
        (Pools, (12, 12, 3), "takes 32×32 pixels: add --size 32"),
        (
            Pools,
            (12, 20, 1),
            "--size 32; it takes images of 3 channels: numpy.repeat(images, 3, axis=-1)",
        ),
        (Wants, (32, 32, 3), "takes 224×224 pixels: add --size 224"),
        (Wants, (224, 224, 1), "hint: it takes images of 3 channels: numpy.repeat"),
        (WantsGrey, (12, 12, 3), "hint: it takes images of 1 channel: make them grey"),
        (Broken, (12, 12, 3), "its forward is given float32 (N, 3, 12, 12), and gives (N, 2)"),
    ],
)
def test_the_hint_names_images_that_the_network_takes(network, shape, words):
    with pytest.raises(td.ConfigError) as caught:
        preflight.check([Use(learner=ResolvedLearner(network), outputs=2)], shape)
    assert words in str(caught.value)
    assert str(shape) in str(caught.value)


def test_networks_that_are_the_same_from_every_seed_are_told_of_once(images, caplog):
    def seeded(outputs, image_shape):
        torch.manual_seed(0)
        return Plain(outputs, image_shape)

    logging.getLogger("taskdiscovery").propagate = True
    do("power", images, seeded)
    assert caplog.text.count("the same weights from every seed") == 1
    caplog.clear()
    do("score", images, Plain)
    assert "every seed" not in caplog.text


class Three(Plain):
    """Has three outputs, whatever is asked."""

    def __init__(self, outputs, image_shape):
        super().__init__(3, image_shape)


def test_power_needs_networks_of_any_number_of_outputs(images):
    """Directions that are predicted no better than permuted labels are dropped at the end."""
    with pytest.raises(td.ConfigError, match=r"\(2, 3\) of float32 for 2 images, not \(2, 1\)"):
        do("power", images, Three)
    assert len(do("spectral", images, Three).tasks) == 3


def test_the_encoder_of_meta_is_tried_too(images):
    registered = {"tests_encoder:net": WrongOutputs}
    method = td.Meta(outer_steps=1, encoder="tests_encoder:net")
    sys.modules["tests_encoder"] = SimpleNamespace(net=registered["tests_encoder:net"])
    with pytest.raises(td.ConfigError, match="where: --encoder tests_encoder:net"):
        td.discover(images, tasks=3, method=method, learner="linear", callbacks=(), threads=1)
    del sys.modules["tests_encoder"]


SPLIT = {"preset": "smoke", "epochs": 1, "batch": 32, "runs": 1, "threads": 1, "callbacks": ()}
SPLIT |= {"precision": "float32", "executor": "serial"}


def test_splits_take_them_and_try_all_that_they_use(images):
    cut = (images.images[:, 0, 0, 0] > 60).astype(int)
    found = td.split(images, "label", cut, learner=InATuple, **SPLIT)
    known = td.split(images, "label", cut, learner=Plain, **SPLIT)
    assert {k: v.mean for k, v in found.accuracy.items()} == {
        k: v.mean for k, v in known.accuracy.items()
    }
    for options in ({"learner": WrongOutputs}, {"learner": "linear", "transfer": [WrongOutputs]}):
        with pytest.raises(td.ConfigError, match=r"WrongOutputs gives \(2, \d\)"):
            td.split(images, "label", cut, **SPLIT, **options)


class Tires(Plain):
    """Fails in a way that two images do not show."""

    def forward(self, x):
        if self.training and len(x) > 2:
            raise KeyError("batch")
        return super().forward(x)


@pytest.mark.parametrize("verb", ["score", "power", "spectral"])
def test_what_fails_later_is_the_networks_fault_and_not_a_bug(verb, images):
    if verb == "spectral":  # its statistics are taken in training mode only where there are norms
        assert len(do(verb, images, Tires).tasks) == 3
        return
    with pytest.raises(td.ConfigError, match="Tires fails on images of shape"):
        do(verb, images, Tires)


MODULE = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from own_networks import *
def dataset():
    import numpy as np
    rng, y = np.random.default_rng(0), np.arange(160) % 2
    x = rng.integers(0, 120, (160, 12, 12, 3), dtype=np.uint8)
    x[y == 1, :6] += 100
    return x, y
"""


@pytest.mark.parametrize(
    ("network", "code", "words"),
    [
        ("InADict", 0, ""),
        ("Tied", 0, ""),
        ("Wants", 2, "--size 224"),
        ("WrongOutputs", 2, "for 2 images, not (2, 2)"),
        ("MoreArguments?width=3", 2, "unexpected keyword argument 'width'"),
    ],
)
def test_the_command_line_says_the_same(network, code, words, tmp_path, monkeypatch, capfd):
    (tmp_path / "usernets.py").write_text(MODULE.format(tests=str(Path(__file__).parent)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    command = ["score", "usernets:dataset", "--target", "label", "--preset", "smoke"]
    command += ["--learner", f"usernets:{network}", "--threads", "1", "--epochs", "1"]
    assert main([*command, "--executor", "serial", "--out", str(tmp_path / "run")]) == code
    told = capfd.readouterr().err
    assert words in told
    assert "bug" not in told
    assert (tmp_path / "run").exists() == (code == 0)
    sys.modules.pop("usernets")


TIMM = """
from torch import nn
from own_networks import Wants

def list_models():
    return ["little"]

def create_model(name, pretrained, num_classes, in_chans):
    return Wants(num_classes)
"""


def test_networks_of_timm_are_tried_too(tmp_path, monkeypatch, images):
    (tmp_path / "timm.py").write_text(TIMM)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(td.ConfigError, match="--size 224"):
        do("score", images, "timm:little")
    sys.modules.pop("timm")


class Buffered(Plain):
    """Has a float buffer, which would make bf16 pixels float32 again, and one that it changes."""

    def __init__(self, outputs, image_shape):
        super().__init__(outputs, image_shape)
        self.register_buffer("scale", torch.full((16,), 0.5))
        self.register_buffer("mean", torch.zeros(16))

    def forward(self, x):
        seen = self.seen(x) * self.scale
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * seen.mean(0).detach()
        return self.head(seen - self.mean)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_gradient_through_networks_with_buffers(precision, images):
    method = td.Meta(outer_steps=2, inner_steps=2, inner_batch=32)
    own = {"method": method, "tasks": 2, "threads": 1, "callbacks": (), "precision": precision}
    found = td.discover(images, learner=Buffered, **own)
    assert found.numbers["meta"]["skipped"] == 0
    assert (found.encoder.predict(images.images) == found.tasks.labels_ND).all()


SCRIPT = """
import json
import numpy as np
import torch
from torch import nn
import taskdiscovery as td

class Net(nn.Module):
    def __init__(self, outputs, image_shape):
        super().__init__()
        self.first = nn.Linear(8 * 8 * 3, 8 * 8 * 3, bias=False)
        self.second = nn.Linear(8 * 8 * 3, 8 * 8 * 3, bias=False)
        self.second.weight = self.first.weight
        self.head = nn.LazyLinear(outputs)
    def forward(self, x):
        x = torch.relu(self.second(torch.relu(self.first(x.view(len(x), -1)))))
        return {"logits": self.head(x)}

rng, y = np.random.default_rng(0), np.arange(160) % 2
x = rng.integers(0, 120, (160, 8, 8, 3), dtype=np.uint8)
x[y == 1, :4] += 100
own = {"learner": Net, "threads": 1, "batch": 32, "callbacks": (), "precision": "float32"}
found = {}
for executor, jobs in (("serial", None), ("processes", 2)):
    where = {"executor": executor, "jobs": jobs}
    scores = td.score(x, y, preset="smoke", epochs=2, **own, **where)
    tasks = td.discover(x, tasks=2, method=td.Power(iterations=2), epochs=2, **own, **where).tasks
    found[executor] = [scores[0].agreement, scores[0].accuracy, tasks.labels_ND.tolist()]
print(json.dumps(found))
"""


@pytest.mark.slow
def test_classes_of_a_script_work_with_every_executor(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["serial"] == found["processes"]
    assert len(found["serial"][2]) == 160


@pytest.mark.slow
def test_a_network_of_hugging_face_is_taken_as_it_is(images):
    transformers = pytest.importorskip("transformers")

    def network(outputs, image_shape):
        config = transformers.ViTConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            image_size=image_shape[0],
            patch_size=4,
            num_channels=image_shape[2],
            num_labels=outputs,
        )
        return transformers.ViTForImageClassification(config)

    scores = do("score", images, network)
    assert scores["accuracy"][0] > scores["accuracy"][1]
    for verb in VERBS[1:]:
        found = do(verb, images, network)
        assert (found.encoder.predict(images.images) == found.tasks.labels_ND).all()
    fixed = transformers.ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    with pytest.raises(td.ConfigError, match="--size 224"):
        do("score", images, lambda outputs: transformers.ViTForImageClassification(fixed))
