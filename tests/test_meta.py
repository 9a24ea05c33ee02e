"""Meta-gradient discovery: its parts, its variants, and that it does what it is for."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from benchmarks.metagrad import Case, search_of
from safetensors.torch import save_file
from torch.utils._python_dispatch import TorchDispatchMode

import taskdiscovery as td
from taskdiscovery import networks
from taskdiscovery.config import from_mapping, learner_of, read_config
from taskdiscovery.config import options as options_of
from taskdiscovery.discovery import METHODS, DiscoverConfig
from taskdiscovery.discovery.constraints import Constraints
from taskdiscovery.discovery.meta import objectives, planning
from taskdiscovery.discovery.meta import search as meta_search
from taskdiscovery.discovery.meta.embedding import Embedding, NetworkTrunk
from taskdiscovery.discovery.meta.inner import Inner
from taskdiscovery.discovery.meta.search import MetaSearch
from taskdiscovery.discovery.problem import Problem
from taskdiscovery.encoders.labelling import simplex
from taskdiscovery.errors import ConfigError, DataError, NumericalError
from taskdiscovery.executors import workbench
from taskdiscovery.metagrad import Estimate
from taskdiscovery.networks import build_learner
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.runtime.seeds import derive
from taskdiscovery.store import Run
from taskdiscovery.store.journal import Journal

SMALL = {
    "method": "meta",
    "learner": "convnet?width=0.12",
    "tasks": 3,
    "outer_steps": 2,
    "inner_steps": 3,
    "inner_batch": 32,
    "precision": "float32",
    "threads": 1,
}


@pytest.fixture(scope="module")
def shapes():
    return td.load("shapes?n=240&size=12&seed=0")


def discover(dataset, *, out=None, **given):
    """Discover with the options of job and method side by side, as the command line has them."""
    own = {item.name for item in options_of(METHODS[given["method"]])}
    method = METHODS[given.pop("method")](**{k: given.pop(k) for k in own & set(given)})
    return td.discover(dataset, method=method, **given, out=out)


def search_on(dataset, **given):
    values = {**SMALL, "device": "cpu", "memory": "graphs", **given}
    config = from_mapping(DiscoverConfig, values, "search_on")
    learner = learner_of(config.learner, config.recipe(1), device="cpu", precision="float32")
    rows = np.arange(len(dataset))
    with workbench(dataset, config, learner, rows, Journal(), Callbacks()) as bench:
        problem = Problem(
            workbench=bench,
            rows=rows,
            tasks=config.tasks,
            classes=config.classes,
            seed=config.seed,
            constraints=Constraints(),
            encoder_recipe=learner.recipe,
        )
        inner = Inner(
            learner=learner,
            shape=bench.shape,
            normalization=bench.normalization,
            images=bench.images,
            options=config.method,
            classes=config.classes,
            seed=config.seed,
        )
        model = build_learner(learner, bench.shape, problem.P, bench.normalization, 3)
        turned = config.method.directions in ("best", "worst")
        trunk = NetworkTrunk(model, bench.images, "float32")
        embedding = Embedding(trunk, problem.P, turned=turned)
        return MetaSearch(embedding, inner, problem, config.method)


class TestObjectives:
    def test_soft_labels_of_two_classes_are_a_sigmoid(self):
        own = torch.linspace(-1, 1, 7)[:, None]
        corners = torch.from_numpy(simplex(2)).float()
        labels = objectives.soft_labels(own, corners, 5.0)
        torch.testing.assert_close(labels[:, 1], torch.sigmoid(10 * own[:, 0]))

    def test_disagreement_is_the_cross_entropy_both_ways(self):
        a, b = torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 0.0]])
        p, q = a.softmax(1), b.softmax(1)
        expected = -((p * q.log()).sum() + (q * p.log()).sum()) / 2
        torch.testing.assert_close(objectives.disagreement([a, b]), expected)
        assert float(objectives.hard_agreement([a, b, a])) == pytest.approx(1 / 3)

    def test_uniformity_prefers_points_that_are_spread_out(self):
        rng = torch.Generator().manual_seed(0)
        spread = torch.randn(200, 4, generator=rng)
        bunched = torch.ones(200, 4) + 0.01 * spread
        assert objectives.uniformity(spread) < -1.5
        assert objectives.uniformity(bunched) == pytest.approx(0.0, abs=0.01)

    def test_information_is_zero_for_independent_balanced_tasks_only(self):
        bits = torch.tensor([[i & 1, i >> 1 & 1] for i in range(4)])
        hard = [torch.nn.functional.one_hot(bits[:, j], 2).float() for j in range(2)]
        assert float(objectives.information(hard)) == pytest.approx(0.0, abs=1e-6)
        assert float(objectives.information([hard[0], hard[0]])) == pytest.approx(np.log(2))
        lopsided = torch.tensor([[1.0, 0.0]] * 4)
        assert float(objectives.information([lopsided])) == pytest.approx(np.log(2))


class TestGradient:
    """What an outer step adds to the encoder, against the plain unroll and differences."""

    def gradient(self, search):
        search.trained.zero_grad(set_to_none=True)
        row = search.gradients(0)
        return row, {
            n: p.grad.clone() for n, p in search.trained.named_parameters() if p.requires_grad
        }

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"objective": "online"},
            {"objective": "online", "share_batch": True},
            {"objective": "train-loss"},
            {"inner_optimizer": "momentum", "transform": "exp"},
            {"classes": 3, "networks": 3, "transform": "softplus"},
            {"learner": "vit?width=0.04&depth=1", "tasks_per_step": 2},
        ],
        ids=str,
    )
    def test_every_choice_of_memory_equals_the_plain_unroll(self, shapes, options):
        def compute(**more):
            return self.gradient(search_on(shapes, **{"inner_optimizer": "sgd", **options, **more}))

        row, expected = compute(gradient="reverse")
        for memory in ("graphs", "store", "recompute"):
            found_row, found = compute(memory=memory)
            assert found_row["loss"] == pytest.approx(row["loss"], rel=1e-4)
            for name, g in expected.items():
                torch.testing.assert_close(found[name], g, rtol=2e-3, atol=2e-5)

    @pytest.mark.parametrize("memory", ["store", "recompute"])
    @pytest.mark.parametrize("options", [{}, {"objective": "online", "inner_batch": 33}], ids=str)
    def test_recorded_steps_give_the_same(self, shapes, memory, options):
        """What is recorded on a GPU is done here as it is written, on the same buffers."""
        options = {"memory": memory, "learner": "resnet18?width=0.03", "inner_steps": 2, **options}
        row, expected = self.gradient(search_on(shapes, **options))
        search = search_on(shapes, **options)
        own = {k: v for k, v in vars(search.inner).items() if k in Inner.__dataclass_fields__}
        search.inner = Inner(**{**own, "recorded": True})
        assert all(p.dim() == 1 for p in search.inner.start(0))
        found_row, found = self.gradient(search)
        assert found_row["loss"] == pytest.approx(row["loss"], rel=1e-6)
        scale = max(float(g.abs().max()) for g in expected.values())
        for name, g in expected.items():
            torch.testing.assert_close(found[name], g, rtol=1e-3, atol=1e-5 * scale)

    def test_nothing_is_read_back_within_an_outer_step(self, shapes):
        class Counter(TorchDispatchMode):
            seen: ClassVar[list[str]] = []

            def __torch_dispatch__(self, func, types, args=(), kwargs=None):
                name = func.overloadpacket.__name__
                if name in ("_local_scalar_dense", "nonzero", "masked_select", "equal"):
                    self.seen.append(name)
                return func(*args, **(kwargs or {}))

        search = search_on(shapes, objective="online", tasks_per_step=2, memory="store")
        with Counter():
            numbers = search._differentiate(0)
            finite = search._finite()
        assert Counter.seen == []
        row, follow = search._read(numbers, finite)
        assert follow
        again = search_on(shapes, objective="online", tasks_per_step=2, memory="store")
        assert row == again.gradients(0)

    def test_networks_are_drawn_anew_where_they_are_asked_for(self, shapes):
        fresh, same = (search_on(shapes, fresh_init=f).inner for f in (True, False))
        first, second = fresh.start(0), fresh.start(1)
        name = next(iter(first[0]))
        assert not torch.equal(first[0][name], second[0][name])
        assert not torch.equal(first[0][name], first[1][name])
        assert torch.equal(fresh.start(0)[0][name], first[0][name])
        model = build_learner(
            fresh.learner, fresh.shape, 2, fresh.normalization, derive(fresh.seed, "inner", 0, 1)
        )
        assert all(torch.equal(first[1][n], p) for n, p in model.named_parameters())
        assert same.start(5)[0][name] is same.start(0)[0][name]
        assert torch.equal(same.start(5)[0][name], first[0][name])

    def test_directions_are_differentiated_too(self, shapes):
        search = search_on(
            shapes,
            directions="best",
            warm_start="x",
            diversity_weight=0.0,
            inner_optimizer="sgd",
            tasks=2,
            inner_rate=0.1,
            temperature=0.5,
            learner="linear",
        )
        _, found = self.gradient(search)
        assert set(found) == {"embedding.turn"}
        h, slopes = 1e-2, torch.zeros(2, 2)
        for i in range(2):
            for j in range(2):
                values = []
                for sign in (1, -1):
                    with torch.no_grad():
                        search.embedding.turn.copy_(torch.eye(2))
                        search.embedding.turn[i, j] += sign * h
                    values.append(search.gradients(0)["loss"])
                slopes[i, j] = (values[0] - values[1]) / (2 * h)
        torch.testing.assert_close(found["embedding.turn"], slopes, rtol=0.02, atol=2e-4)


def test_on_a_gpu_what_is_kept_fits_beside_the_images(shapes):
    memory = {"graphs": 300, "store": 200, "recompute": 100}
    cost = Estimate(dict.fromkeys(memory, 1.0), memory, available=1000)
    gpu = SimpleNamespace(device=torch.device("cuda"), recordable=False)
    few = SimpleNamespace(images=np.zeros(50, dtype=np.uint8))
    many = SimpleNamespace(images=np.zeros(10**6, dtype=np.uint8))
    assert planning._chosen(cost, gpu, few) == "graphs"
    assert planning._chosen(cost, gpu, many) == "graphs"  # half of the memory is never theirs
    tight = replace(cost, available=600)
    assert planning._chosen(tight, gpu, few) == "graphs"
    assert planning._chosen(tight, gpu, many) == "recompute"
    gpu.recordable = True
    assert planning._chosen(cost, gpu, few) == "store"
    cpu = SimpleNamespace(device=torch.device("cpu"), recordable=True)
    assert planning._chosen(tight, cpu, many) == "graphs"


class TestDiscovery:
    @pytest.mark.parametrize(
        "options",
        [
            {"objective": "online", "stop_agreement": 0.1},
            {"one_step": True},
            {"directions": "random", "classes": 3},
            {"diversity": "information", "tasks_per_step": 3},
            {"gradient": "truncated", "window": 2},
            {"gradient": "first_order", "fresh_init": False},
            {"objective": "none"},
            {"outer_steps": 0},
            {"contain": "attr:shape;attr:size"},
            {"encoder": "mlp?width=0.1", "memory": "recompute"},
            {"learner": "resnet18?width=0.03", "inner_steps": 2},
            {"learner": "resnet18?width=0.03&stem=imagenet", "inner_steps": 2},
            {"learner": "linear"},
        ],
        ids=str,
    )
    def test_every_variant_ends_in_tasks(self, shapes, options):
        found = discover(shapes, **{**SMALL, **options})
        assert len(found.tasks) == 3
        assert found.numbers["meta"]["outer_steps"] == options.get("outer_steps", 2)
        again = found.encoder.classify(found.encoder.transform(shapes.images[5:6]))
        np.testing.assert_array_equal(again, found.tasks.labels_ND[5:6])

    def test_it_raises_agreement(self):
        """On drawn shapes an untrained encoder's tasks are harder than those that are found."""
        dataset = td.load("shapes?n=1500&size=12&seed=1")
        options = {
            **SMALL,
            "learner": "convnet?width=0.25",
            "tasks": 2,
            "inner_steps": 5,
            "inner_batch": 128,
            "inner_rate": 3e-3,
            "outer_rate": 3e-3,
        }
        found = discover(dataset, **{**options, "outer_steps": 25})
        meta = found.numbers["meta"]
        assert 1 - meta["agreement_last"] < 0.7 * (1 - meta["agreement_first"])
        assert found.numbers["similarity"]["max"] < 0.8

    def test_a_contained_target_can_be_read_from_the_embedding(self):
        dataset = td.load("shapes?n=600&size=12&seed=1")
        names = dataset.attributes.columns
        assert "background_hue" in names
        options = {**SMALL, "objective": "none", "outer_steps": 60, "outer_rate": 1e-2}

        def readable(**more):
            found = discover(dataset, **options, **more)
            target = dataset.target("attr:shape")
            columns = np.c_[found.tasks.coordinates_NP, np.ones(len(dataset))]
            onehot = np.eye(target.k)[target.labels_N]
            weights = np.linalg.lstsq(columns, onehot, rcond=None)[0]
            return ((columns @ weights).argmax(1) == target.labels_N).mean()

        assert readable(contain="attr:shape", contain_weight=10.0) > readable() + 0.1

    def test_given_factors(self, shapes, tmp_path):
        table = shapes.attributes.assign(image_id=shapes.ids)
        table.to_csv(tmp_path / "factors.csv", index=False)
        found = discover(shapes, **SMALL, features=str(tmp_path / "factors.csv"))
        assert all(0 < row["encoder_agreement"] <= 1 for row in found.numbers["tasks"])

    def test_a_frozen_backbone_stays_as_it_was(self, shapes, tmp_path):
        ones = networks.Normalization((1.0,) * 3, (1.0,) * 3)
        model = networks.build(SMALL["learner"], shapes.image_shape, 10, ones, seed=5)
        state = {k: v.clone() for k, v in model.network.state_dict().items()}
        save_file(
            {k: v.contiguous() for k, v in state.items() if not k.startswith("head")},
            tmp_path / "backbone.safetensors",
        )
        found = discover(shapes, **SMALL, encoder_weights=str(tmp_path / "backbone.safetensors"))
        for name, tensor in found.encoder.model.network.state_dict().items():
            if not name.startswith("head"):
                torch.testing.assert_close(tensor, state[name], rtol=0, atol=0)

    def test_warm_start_begins_with_the_tasks_of_a_run(self, shapes, tmp_path):
        run = tmp_path / "run"
        first = discover(
            shapes,
            method="spectral",
            learner=SMALL["learner"],
            tasks=4,
            precision="float32",
            threads=1,
            out=run,
        )
        warm = {**SMALL, "warm_start": str(run), "outer_steps": 0}
        found = discover(shapes, **warm)
        same = (found.tasks.labels_ND == first.tasks.labels_ND[:, :3]).mean(axis=0)
        assert (same > 0.9).all()
        for directions in ("best", "worst"):
            turned = discover(shapes, **{**warm, "outer_steps": 2, "directions": directions})
            assert turned.numbers["meta"]["outer_steps"] == 2


class TestMistakes:
    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"directions": "best"}, "--warm-start"),
            ({"exclude": "label"}, "--exclude"),
            ({"features": "a", "encoder_weights": "b"}, "both given"),
            ({"inner_batch": 4, "networks": 3}, "--inner-batch"),
            ({"one_step": True, "objective": "none"}, "--one-step"),
            ({"encoder": "convnett"}, "convnet"),
        ],
    )
    def test_combinations_that_cannot_work(self, shapes, options, says):
        with pytest.raises(ConfigError) as error:
            discover(shapes, **{**SMALL, **options})
        assert says in str(error.value)

    @pytest.mark.parametrize("name", ["features", "encoder_weights"])
    def test_files_that_are_not_there(self, shapes, name):
        with pytest.raises(DataError, match="no such file"):
            discover(shapes, **SMALL, **{name: "/no/such/file.csv"})

    def test_a_backbone_of_another_architecture(self, shapes, tmp_path):
        save_file({"body.0.weight": torch.zeros(3)}, tmp_path / "b.safetensors")
        with pytest.raises(DataError, match="another shape"):
            discover(shapes, **SMALL, encoder_weights=str(tmp_path / "b.safetensors"))

    def test_features_with_holes(self, shapes, tmp_path):
        table = pd.DataFrame({"image_id": shapes.ids[1:], "x": np.arange(len(shapes) - 1.0)})
        table.to_parquet(tmp_path / "x.parquet")
        with pytest.raises(DataError, match="1 of 240 images have no row of features"):
            discover(shapes, **SMALL, features=str(tmp_path / "x.parquet"))

    def test_a_network_that_cannot_be_differentiated_twice_is_named(
        self, shapes, tmp_path, monkeypatch
    ):
        (tmp_path / "oncenet.py").write_text(ONCE)
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ConfigError) as error:
            discover(shapes, **{**SMALL, "learner": "oncenet:make"})
        assert "oncenet:make cannot be differentiated twice" in str(error.value)
        assert "--method power" in str(error.value)

    def test_48_49_gradients_that_are_not_finite_stop_the_search(self, shapes, tmp_path):
        options = {**SMALL, "outer_steps": 9, "inner_rate": 1e30, "inner_optimizer": "sgd"}
        with pytest.raises(NumericalError, match="in a row are not finite"):
            discover(shapes, **options, out=tmp_path / "run")
        state, arrays = Run.open(tmp_path / "run").checkpoints.load()
        assert state["under_way"][1]["skipped"] == 5
        assert all(np.isfinite(a).all() for a in arrays.values())

    def test_49_one_of_them_is_skipped_and_counted(self, shapes, monkeypatch):
        whole = Inner.gradient
        calls = []

        def once_broken(self, *args):
            found, gradients, agreement = whole(self, *args)
            calls.append(1)
            if len(calls) == 2:
                gradients = [None if g is None else g * float("nan") for g in gradients]
            return found, gradients, agreement

        monkeypatch.setattr(Inner, "gradient", once_broken)
        found = discover(shapes, **{**SMALL, "outer_steps": 4})
        assert found.numbers["meta"]["skipped"] == 1
        assert np.isfinite(found.tasks.coordinates_NP).all()


ONCE = """
import torch
from torch import nn
class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]
class Net(nn.Module):
    def __init__(self, image_shape, outputs):
        super().__init__()
        h, w, c = image_shape
        self.fc = nn.Linear(h * w * c, 8)
        self.out = nn.Linear(8, outputs)
    def forward(self, x):
        return self.out(Once.apply(self.fc(x.flatten(1))))
def make(image_shape, outputs):
    return Net(image_shape, outputs)
"""


def test_the_published_settings_are_a_config(shapes):
    values = read_config("published")
    config = from_mapping(DiscoverConfig, values, "published")
    method = config.method
    assert (method.name, config.tasks, method.inner_steps) == ("meta", 32, 50)
    small = {"learner": SMALL["learner"], "encoder": "", "outer_steps": 1, "inner_steps": 2}
    found = discover(shapes, **{**values, **small, "tasks": 3, "inner_batch": 32, "threads": 1})
    assert len(found.tasks) == 3


def test_the_example_in_the_docs_runs():
    page = (Path(__file__).parents[1] / "docs" / "meta-gradient.md").read_text("utf-8")
    names = {}
    exec(page.split("```python\n")[1].split("```")[0], names)
    assert float(names["found"].value) > 0


def test_metrics_and_checkpoints_of_outer_steps(shapes, tmp_path, monkeypatch):
    """A search that is interrupted goes on bit for bit, and tells of each step once."""
    options = {**SMALL, "outer_steps": 5, "checkpoint_every": 0.0}
    whole = discover(shapes, **options, out=tmp_path / "whole")
    steps = []
    own = MetaSearch._step

    def interrupted(self, number):
        steps.append(number)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return own(self, number)

    monkeypatch.setattr(MetaSearch, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        discover(shapes, **options, out=tmp_path / "stopped")
    monkeypatch.setattr(MetaSearch, "_step", own)
    resumed = td.resume(tmp_path / "stopped", data=shapes)
    np.testing.assert_array_equal(resumed.tasks.coordinates_NP, whole.tasks.coordinates_NP)
    for name in ("encoder.safetensors", "tasks.parquet", "coordinates.parquet"):
        first, second = (tmp_path / run / name for run in ("whole", "stopped"))
        assert first.read_bytes() == second.read_bytes(), name
    lines = (tmp_path / "stopped" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5]


def test_kept_graphs_of_the_encoder_give_the_bits_of_none():
    found = []
    for kept in (True, False):
        search = search_of(Case("convnet?width=0.25", 16, 3, "float32", "store"), "cpu")
        search._kept = kept
        assert search._keeps(torch.arange(16), 3) is kept
        search.gradients(0)
        found.append([p.grad.clone() for p in search.embedding.parameters() if p.grad is not None])
    assert found[0]
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize(("free", "kept"), [(10**10, True), (10**5, False)])
def test_graphs_of_the_encoder_are_kept_where_they_fit(free, kept, monkeypatch):
    monkeypatch.setattr(meta_search, "available_memory", lambda _: free)
    search = search_of(Case("convnet?width=0.25", 16, 3, "float32", "store"), "cpu")
    assert search._keeps(torch.arange(16), 3) is kept
    frugal = search_of(Case("convnet?width=0.25", 16, 3, "float32", "recompute"), "cpu")
    assert not frugal._keeps(torch.arange(16), 3)
    search._kept, search.embedding.trunk.model.network.extra = None, torch.nn.Dropout(0.5)
    assert not search._keeps(torch.arange(16), 3)  # which would draw otherwise the second time
