"""Where networks compute: words, counts, who gets which card, and what results say of it.

No card is needed: what is asked of torch and of the driver is answered by stand-ins.
"""

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import taskdiscovery as td
from taskdiscovery.config import (
    AnalyzeConfig,
    EmbedConfig,
    LabelConfig,
    Load,
    ScoreConfig,
    TrainingRecipe,
    from_mapping,
    learner_of,
)
from taskdiscovery.errors import ConfigError, ResourceError
from taskdiscovery.executors import machine, processes, ray, resolve_device, resolve_precision
from taskdiscovery.metagrad.estimate import Estimate
from taskdiscovery.networks import Normalization, build_learner
from taskdiscovery.runtime import arithmetic, devices, memory_errors, random_states, ranks
from taskdiscovery.runtime.cards import Cards
from taskdiscovery.runtime.isolation import usual_torch
from taskdiscovery.store import environment
from taskdiscovery.training import Seeds, Training

H100 = SimpleNamespace(name="NVIDIA H100 80GB HBM3", total_memory=85 * 10**9, major=9, minor=0)
OLD = SimpleNamespace(name="Tesla V100", total_memory=16 * 10**9, major=7, minor=0)


@pytest.fixture
def machine_with(monkeypatch):
    """Pretend to have cards; nothing may begin to use one."""

    def pretend(count, card=H100, driver="570.86"):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: card)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(devices, "driver", lambda: driver)
        row = {"name": card.name, "driver": driver, "capability": f"{card.major}.{card.minor}"}
        monkeypatch.setattr(devices, "_asked", lambda: (row,) * count)

    return pretend


# --- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [ScoreConfig, LabelConfig, AnalyzeConfig, EmbedConfig])
def test_words_for_a_device(config):
    for word in ("auto", "cpu", "cuda", "cuda:0", "cuda:12"):
        assert from_mapping(config, {"device": word}, "test").device == word
    for word in ("gpu", "cuda:", "cuda:-1", "cuda:01", "cuda:x", "mps", "CUDA", "cuda:1 ", ""):
        with pytest.raises(ConfigError, match="cannot be") as caught:
            from_mapping(config, {"device": word}, "test")
        assert "cuda:1" in caught.value.hint


def test_labels_are_drawn_on_the_cpu_unless_told_otherwise():
    assert LabelConfig().device == AnalyzeConfig().device == "cpu"


def test_a_card_that_is_not_there(machine_with):
    machine_with(1)
    assert devices.resolve("auto") == devices.resolve("cuda") == "cuda"
    assert devices.resolve("cuda:0") == "cuda:0"
    with pytest.raises(ConfigError, match="no card 7: this machine has 1 CUDA device\n") as caught:
        devices.resolve("cuda:7")
    assert caught.value.exit_code == 2
    machine_with(4)
    with pytest.raises(ConfigError, match="has 4 CUDA devices") as caught:
        devices.resolve("cuda:4")
    assert "cuda:0 to cuda:3" in caught.value.hint
    machine_with(0)
    assert devices.resolve("auto") == "cpu"
    assert devices.here("cuda:1") == "cpu"
    for word in ("cuda", "cuda:0"):
        with pytest.raises(ConfigError, match="no CUDA device"):
            devices.resolve(word)


def test_verbs_refuse_a_card_that_is_not_there():
    data = td.load("shapes?n=60&size=8")
    with pytest.raises(ConfigError, match="no CUDA device"):
        td.score(data, "label", device="cuda:3", preset="smoke", learner="linear")
    with pytest.raises(ConfigError, match="no CUDA device"):
        td.analyze(data, "label", device="cuda")
    with pytest.raises(ConfigError, match="no CUDA device"):
        td.embed(data, device="cuda")


def test_ranks_take_a_card_each(monkeypatch, machine_with):
    own = [devices.card_of_rank(rank, 4, 8, narrowed=False) for rank in range(4)]
    assert own == [0, 1, 2, 3]
    assert devices.card_of_rank(3, 4, 1, narrowed=True) == 0  # Slurm showed it one card alone
    with pytest.raises(ConfigError, match="4 ranks need a card each, and this machine has 2"):
        devices.card_of_rank(0, 4, 2, narrowed=False)
    with pytest.raises(ConfigError, match="this machine has 1"):
        devices.card_of_rank(0, 2, 1, narrowed=False)
    machine_with(2)
    taken = []
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    ranks.take_card("cuda")
    assert taken == [1]
    with pytest.raises(ConfigError, match="card of its own"):
        ranks.take_card("cuda:1")


# --- Ray ---------------------------------------------------------------------------------------


def test_a_driver_of_ray_needs_no_card(machine_with, monkeypatch, caplog):
    machine_with(0)
    assert resolve_device("cuda", "ray") == "cuda"
    assert resolve_device("auto", "ray") == "cpu"
    with pytest.raises(ConfigError, match="Ray chooses"):
        resolve_device("cuda:1", "ray")
    with caplog.at_level("INFO", logger="taskdiscovery"):
        assert resolve_precision("auto", "cuda", "ray") == "bf16"
    assert "bf16" in caplog.text
    config = ScoreConfig(executor="ray", gpus_per_job=0.5)
    assert machine.resolve_hardware(config, td.load("shapes?n=20&size=8")).device == "cuda"


def test_a_driver_of_ray_uses_no_card(machine_with, monkeypatch):
    machine_with(1, OLD)

    def used(*_):
        raise AssertionError("the driver begins to use a card")

    monkeypatch.setattr(torch.cuda, "get_device_properties", used)
    monkeypatch.setattr(torch.cuda, "init", used)
    monkeypatch.setattr(torch.cuda, "current_device", used)
    config = ScoreConfig(executor="ray", device="cuda")
    found = machine.resolve_hardware(config, td.load("shapes?n=20&size=8"))
    assert (found.device, found.precision) == ("cuda", "float32")  # a visible one has no bf16
    assert devices.of_job({"device": "cuda", "executor": "ray"})["cards"] == []


class Cluster:
    """Stands in for Ray: keeps what is asked of it."""

    def __init__(self):
        self.asked, self.sent = {}, []

    def put(self, images):
        return images

    def remote(self, **options):
        self.asked = options
        return lambda work: SimpleNamespace(remote=lambda *given: self.sent.append(given))


@pytest.mark.parametrize(("device", "gpus"), [("cuda", 1.0), ("cpu", 0.0)])
def test_tasks_of_ray_ask_for_a_card_and_compute_on_it(device, gpus, monkeypatch):
    """Whatever the driver computes on itself."""
    cluster = Cluster()
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 1), dtype=np.uint8)
    config = ScoreConfig(executor="ray", device=device, threads=1)
    workers = ray.Ray(cluster, config, images, None)
    assert cluster.asked["num_gpus"] == gpus
    learner = learner_of("linear", TrainingRecipe(epochs=1), device="cpu", precision="float32")
    own = Training(
        learner=learner,
        shape=(4, 4, 1),
        normalization=Normalization.none(1),
        outputs=2,
        rows=np.arange(30),
        targets=np.arange(30) % 2,
        measured=np.arange(30, 40),
        seeds=Seeds(0, 1),
    )
    workers._start(SimpleNamespace(training=own))
    sent = cluster.sent[0][-1]
    assert (sent.learner.device, sent.learner.recipe) == (device, own.learner.recipe)
    if device == "cpu":
        # A worker does these for good, and this process is none.
        monkeypatch.setattr(ray.importing, "look_in", lambda folder: None)
        monkeypatch.setattr(ray, "keep_freed_memory", lambda: None)
        monkeypatch.setattr(sys, "path", list(sys.path))
        outputs = ray._work(*cluster.sent[0])
        assert np.array_equal(outputs, own.run(torch.from_numpy(images)).numpy())


def test_precision_follows_from_the_card(machine_with, caplog):
    machine_with(2)
    assert resolve_precision("auto", "cuda:1") == "bf16"
    machine_with(2, OLD)
    assert resolve_precision("auto", "cuda:1") == "float32"
    assert resolve_precision("bf16", "cuda:1") == "bf16"
    assert "this GPU does not multiply bf16" in caplog.text


# --- several cards -----------------------------------------------------------------------------


def chosen(trainings=6, **options):
    options = {"device": "cuda", "precision": "bf16", "ranks": 1, "threads": 1, **options}
    learner = learner_of("convnet", TrainingRecipe(), device="cuda", precision="bf16")
    load = Load(trainings=trainings, passes=1000)
    found = machine.resolve_work(ScoreConfig(**options), learner, (8, 8, 3), load)
    return found.executor, found.jobs


def test_a_process_for_each_card(machine_with, monkeypatch):
    monkeypatch.setattr(machine, "semaphores", lambda: True)
    machine_with(4)
    assert chosen() == ("processes", 4)
    assert chosen(trainings=2) == ("processes", 2)
    assert chosen(jobs=3) == ("processes", 3)
    assert chosen(executor="processes") == ("processes", 4)
    assert chosen(executor="processes", jobs=2) == ("processes", 2)
    assert chosen(trainings=1) == ("serial", None)
    assert chosen(device="cuda:2") == ("serial", None)
    assert chosen(ranks=2) == ("serial", None)
    assert chosen(executor="serial")[0] == "serial"
    with pytest.raises(ConfigError, match="8 trainings at once need a card each"):
        chosen(executor="processes", jobs=8)
    with pytest.raises(ConfigError, match="share a GPU"):
        chosen(executor="processes", device="cuda:2")
    monkeypatch.setattr(machine, "semaphores", lambda: False)
    assert chosen() == ("serial", None)


def test_one_card_is_for_one_process(machine_with):
    machine_with(1)
    assert chosen() == ("serial", None)
    with pytest.raises(ConfigError, match="share a GPU well"):
        chosen(executor="processes")


def test_each_worker_has_a_card_of_its_own(tmp_path):
    """Two processes and two cards; when one ends, its card is free for another."""
    cards = Cards(folder=str(tmp_path), count=2)
    first, held = cards.take()
    second, also = cards.take()
    assert (first, second) == ("cuda:0", "cuda:1")
    with pytest.raises(ResourceError, match="none of 2 cards"):
        cards.take(patience=0.2)
    held.close()
    again, held = cards.take()
    assert again == "cuda:0"
    held.close(), also.close()
    assert Cards(folder=str(tmp_path), count=0).take() == ("cpu", None)


def test_a_card_of_a_process_that_was_killed_is_free(tmp_path):
    program = (
        "import time; from taskdiscovery.runtime.cards import Cards\n"
        f"device, held = Cards(folder={str(tmp_path)!r}, count=1).take()\n"
        "print(device, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "cuda:0\n"
        with pytest.raises(ResourceError):
            Cards(folder=str(tmp_path), count=1).take(patience=0.2)
    finally:
        process.kill()
        process.communicate()
    device, held = Cards(folder=str(tmp_path), count=1).take(patience=20)
    assert device == "cuda:0"
    held.close()


def test_a_training_goes_to_the_card_of_its_worker(tmp_path, monkeypatch):
    """What is sent says `cuda`; what is done says which, with the images of that card."""
    seen = {}
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: seen.update(current=device))
    monkeypatch.setattr(processes, "place", lambda images, device: (images.shape, device))
    images = np.zeros((4, 2, 2, 1), dtype=np.uint8)
    mapped = processes.Mapped.of(images, tmp_path)
    cards = Cards(folder=str(tmp_path), count=2)
    taken, stream = cards.take()
    place = processes._Place(mapped=mapped, cards=cards)
    assert place.ready() == (((4, 2, 2, 1), "cuda:1"), "cuda:1")
    assert place.ready() == (((4, 2, 2, 1), "cuda:1"), "cuda:1")  # once for all trainings
    assert (taken, seen) == ("cuda:0", {"current": "cuda:1"})
    place.file.close(), stream.close()


# --- random states -----------------------------------------------------------------------------


class Generators:
    """Stand in for torch's generators of cards."""

    def __init__(self, monkeypatch, count, initialized=True):
        self.states = [torch.tensor([float(i), 0.0]) for i in range(count)]
        self.initialized, self.asked = initialized, []
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: self.initialized)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "init", self._init)
        monkeypatch.setattr(torch.cuda, "get_rng_state", self._get)
        monkeypatch.setattr(torch.cuda, "set_rng_state", self._set)
        own = tuple(SimpleNamespace(manual_seed=self._seed(i)) for i in range(count))
        monkeypatch.setattr(torch.cuda, "default_generators", own if initialized else ())

    def _init(self):
        assert self.initialized, "a card was begun to be used"

    def _get(self, card):
        self.asked.append(card)
        return self.states[card].clone()

    def _set(self, state, card):
        self.states[card] = state

    def _seed(self, card):
        def seed(value):
            self.states[card] = torch.tensor([float(card), float(value % 1000)])

        return seed


def test_a_job_on_the_cpu_begins_to_use_no_card(monkeypatch):
    own = Generators(monkeypatch, 2, initialized=False)
    with random_states.private(1), random_states.private_torch(2, "cpu"):
        random_states.reseed(3)
        assert set(random_states.capture()) & {"cuda_0", "cuda_1"} == set()
    assert own.asked == []


def test_the_card_in_use_is_seeded_and_put_back(monkeypatch):
    own = Generators(monkeypatch, 3)
    before = [state.tolist() for state in own.states]
    with random_states.private(1, "cuda:2"):
        assert own.states[2].tolist() != before[2]
        assert own.states[1].tolist() == before[1]
        saved = random_states.capture("cuda:2")
        random_states.reseed(9, "cuda:2")
        random_states.restore(saved)
        assert own.states[2].tolist() == saved["cuda_2"].tolist()
    assert [state.tolist() for state in own.states] == before
    assert set(own.asked) == {2}
    assert [k for k in random_states.capture("cuda") if k.startswith("cuda")] == ["cuda_0"]
    assert [k for k in random_states.capture() if k.startswith("cuda")] == [
        "cuda_0",
        "cuda_1",
        "cuda_2",
    ]


def test_weights_are_drawn_without_a_word_to_the_cards(monkeypatch):
    """`torch.manual_seed` seeds every card, those that are not yet used as soon as they are."""
    learner = learner_of("convnet?width=0.1", TrainingRecipe(), device="cpu", precision="float32")
    monkeypatch.setattr(torch, "manual_seed", None)
    monkeypatch.setattr(torch.cuda, "_lazy_call", None)
    torch.default_generator.manual_seed(4)
    before = torch.get_rng_state()
    model = build_learner(learner, (8, 8, 3), 2, Normalization.none(3), seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.default_generator.manual_seed(5)
    first = next(build_learner(learner, (8, 8, 3), 2, Normalization.none(3), 5).parameters())
    assert torch.equal(next(model.parameters()), first)


def test_a_training_draws_its_weights_as_ever():
    """The numbers of torch 2.13 on a processor: seeds give what they gave before."""
    learner = learner_of("linear", TrainingRecipe(), device="cpu", precision="float32")
    model = build_learner(learner, (1, 1, 2), 1, Normalization.none(2), seed=7)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        expected = torch.nn.Linear(2, 1).weight
    own = next(p for p in model.parameters() if p.shape == expected.shape)
    assert torch.equal(own, expected)


# --- how it multiplies -------------------------------------------------------------------------


def switches():
    owners = [owner.fp32_precision for owner in arithmetic._owners()]
    return arithmetic._legacy(), owners, torch.backends.cudnn.benchmark


def effective(found):
    """Nothing set means float32 as float32."""
    legacy, owners, benchmark = found
    return legacy, [precision.replace("none", "ieee") for precision in owners], benchmark


def newer(*path):
    def change():
        owner = torch.backends
        for name in path[:-1]:
            owner = getattr(owner, name)
        owner.fp32_precision = path[-1]

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda: None,
        lambda: torch.set_float32_matmul_precision("medium"),
        lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
        lambda: setattr(torch.backends.cudnn, "benchmark", True),
        newer("cuda", "matmul", "tf32"),
        newer("cudnn", "conv", "ieee"),
        newer("mkldnn", "conv", "bf16"),
    ],
)
def test_the_callers_switches_neither_reach_a_call_nor_change(change):
    if not arithmetic._owners():
        pytest.skip("this torch has no switches of the newer kind")
    at_first = switches()
    with usual_torch():
        usual = switches()
    try:
        change()
        before = switches()
        with usual_torch():
            assert effective(switches()) == effective(usual)
            assert arithmetic._legacy() == ("highest", True)
        assert switches() == before
    finally:
        torch.backends.cudnn.benchmark = False
        for owner, precision in zip(arithmetic._owners(), at_first[1], strict=True):
            owner.fp32_precision = precision
        if at_first[0] is not None:
            torch.set_float32_matmul_precision(at_first[0][0])
            torch.backends.cudnn.allow_tf32 = at_first[0][1]
            for owner, precision in zip(arithmetic._owners(), at_first[1], strict=True):
                owner.fp32_precision = precision


# --- what results say --------------------------------------------------------------------------


def test_a_card_is_named(machine_with):
    machine_with(2)
    found = devices.of_job({"device": "cuda:1", "executor": "serial", "jobs": None})
    card = {"name": H100.name, "memory": H100.total_memory, "capability": "9.0"}
    assert found["cards"] == [card]
    assert (found["device"], found["driver"]) == ("cuda:1", "570.86")
    with usual_torch():
        found = devices.of_job({"device": "cuda", "executor": "processes", "jobs": 2})
    assert found["cards"] == [card, card]
    assert {k: found[k] for k in ("tf32_convolutions", "tf32_products", "cudnn_deterministic")} == {
        "tf32_convolutions": True,
        "tf32_products": False,
        "cudnn_deterministic": True,
    }
    lines = devices.in_words(found)
    assert lines["gpu 1"] == "NVIDIA H100 80GB HBM3, 79 GiB, compute capability 9.0"
    assert lines["gpu training"] == "float32 convolutions in TF32, cuDNN deterministic"
    assert "driver 570.86" in lines["gpu software"]


def test_on_the_cpu_nothing_is_said_of_cards(machine_with):
    machine_with(2)
    assert devices.of_job({"device": "cpu", "executor": "processes", "jobs": 2}) == {}
    assert devices.of_job({}) == {}
    assert "gpu" not in environment({"device": "cpu"})
    assert environment({"device": "cuda"})["gpu"]["cards"][0]["name"] == H100.name


def test_the_driver_is_asked_by_its_own_program(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H200, 143771, 580.65.06, 9.0'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    devices._asked.cache_clear(), devices.driver.cache_clear()
    try:
        assert devices.driver() == "580.65.06"
        assert devices.named_by_the_driver()[0]["capability"] == "9.0"
        program.write_text("#!/bin/sh\necho 'Failed to initialize NVML'; exit 9\n")
        devices._asked.cache_clear(), devices.driver.cache_clear()
        assert devices.driver() is None
        assert devices.named_by_the_driver() == []
    finally:
        devices._asked.cache_clear(), devices.driver.cache_clear()


def test_doctor_names_the_cards(machine_with, capsys):
    from taskdiscovery.cli import main

    machine_with(2)
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("NVIDIA H100 80GB HBM3") == 2
    assert "570.86" in printed


def test_a_run_on_the_cpu_is_as_it_was(tmp_path):
    data = td.load("shapes?n=120&size=8")
    td.score(
        data, "label:disc", preset="smoke", learner="linear", device="cpu", out=tmp_path / "run"
    )
    numbers = json.loads((tmp_path / "run" / "result.json").read_text())
    known = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert "hardware" not in numbers
    assert "gpu" not in known


def test_a_run_on_a_card_says_so(tmp_path, monkeypatch):
    """With a stand-in for what it computes on: the training itself is done on the CPU."""
    said = {"device": "cuda", "cards": [{"name": "A card"}]}
    monkeypatch.setattr(devices, "of_job", lambda config: said if config else {})
    data = td.load("shapes?n=120&size=8")
    for target in ("label:disc", "label:cross"):
        td.score(data, target, preset="smoke", learner="linear", out=tmp_path / "run")
    run = td.open_run(tmp_path / "run")
    assert run.numbers["hardware"] == {"score": said}
    assert run.document("environment.json")["gpu"] == said


def test_labels_say_where_they_were_drawn(tmp_path):
    data = td.load("shapes?n=120&size=8")
    found = td.discover(data, tasks=1, learner="linear", method=td.Spectral(start="pixels"))
    tasks = td.label(found, data, device="auto")
    assert tasks.device == "cpu"
    assert replace(tasks, device="cuda").device == "cuda"


# --- memory ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate "
            "memory: you tried to allocate 100 bytes"
        ),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
    ],
)
def test_memory_that_runs_out_is_told_from_other_errors(error):
    with (
        pytest.raises(ResourceError, match="while labelling") as caught,
        memory_errors.explained("labelling", where="--batch 8", hint="try --batch 4"),
    ):
        raise error
    assert (caught.value.where, caught.value.hint) == ("--batch 8", "try --batch 4")
    assert caught.value.exit_code == 5
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("memory")]
)
def test_other_errors_stay_what_they_are(error):
    with (
        pytest.raises(type(error)) as caught,
        memory_errors.explained("labelling", hint="none"),
    ):
        raise error
    assert caught.value is error


def test_the_innermost_explanation_counts():
    with (
        pytest.raises(ResourceError, match="while training"),
        memory_errors.explained("searching", hint="other"),
        memory_errors.explained("training", hint="try --batch 4"),
    ):
        raise MemoryError


def _out(*_, **__):
    raise torch.OutOfMemoryError("CUDA out of memory.")


def test_labelling_says_what_helps(monkeypatch):
    data = td.load("shapes?n=120&size=8")
    found = td.discover(data, tasks=1, learner="linear", method=td.Spectral(start="pixels"))
    monkeypatch.setattr("taskdiscovery.encoders.encoder.predict", _out)
    with pytest.raises(ResourceError, match="while labelling images") as caught:
        td.label(found, data)
    assert "fewer images" in caught.value.hint


def test_a_meta_gradient_says_what_helps(monkeypatch):
    data = td.load("shapes?n=200&size=8")
    method = td.Meta(outer_steps=1, inner_steps=2, inner_batch=32, memory="store")
    options = {"tasks": 2, "learner": "convnet?width=0.1", "method": method, "device": "cpu"}
    inner = "taskdiscovery.discovery.meta.inner.Inner"
    monkeypatch.setattr(f"{inner}.preflight", _out)
    with pytest.raises(ResourceError, match="one inner step") as caught:
        td.discover(data, **options)
    assert "--inner-batch 16" in caught.value.hint
    cost = Estimate(seconds={"store": 0.1}, memory={"store": 1}, available=2)
    monkeypatch.setattr(f"{inner}.preflight", lambda self, rows: cost)
    monkeypatch.setattr(f"{inner}.gradient", _out)
    with pytest.raises(ResourceError, match="meta-gradient") as caught:
        td.discover(data, **options)
    assert caught.value.hint == "try --memory recompute, or --inner-batch 16"


def test_embedding_says_what_helps(machine_with):
    from taskdiscovery.features.backbones import asking

    asked = object.__new__(asking.Asked)
    asked.plan, asked.batch, asked.network = asking.plan_of("cpu", 8), 8, _out
    asked.backbone = SimpleNamespace(asked="lite0")
    with pytest.raises(ResourceError, match="asking the backbone lite0") as caught:
        asked._ask(torch.zeros(8, 4, 4, 3, dtype=torch.uint8), 8)
    assert caught.value.hint == "try --batch 4"
    machine_with(2)
    asked.plan = asking.plan_of("cuda:1", exact=True)
    assert _hint(asked) == "use --device cpu"


def _hint(asked):
    with pytest.raises(ResourceError) as caught, asked._explained():
        raise MemoryError
    return caught.value.hint
