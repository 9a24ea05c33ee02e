"""Several processes as one job: the same numbers as one process, and nobody waits for the dead."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from started import Started
from taskdiscovery.store import Checkpoints, Run

slow = pytest.mark.slow
DATA = "shapes?n=400&size=12"
META = ["discover", DATA, "--method", "meta", "--learner", "convnet?width=0.12", "--tasks", "4"]
META += ["--inner-steps", "3", "--inner-batch", "32", "--tasks-per-step", "2", "--memory", "store"]
META += ["--threads", "1", "--precision", "float32", "--quiet"]
SCORE = ["score", DATA, "--target", "label:disc,cross", "--learner", "convnet?width=0.1"]
SCORE += ["--preset", "smoke", "--epochs", "8", "--batch", "32", "--threads", "1", "--quiet"]

GRADIENT = """
    import sys
    import numpy as np
    import torch

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # everything in double precision

    import taskdiscovery as td
    from taskdiscovery.config import learner_of
    from taskdiscovery.discovery import DiscoverConfig
    from taskdiscovery.discovery.constraints import Constraints
    from taskdiscovery.discovery.meta.embedding import Embedding, NetworkTrunk
    from taskdiscovery.discovery.meta.inner import Inner
    from taskdiscovery.discovery.meta.search import MetaSearch
    from taskdiscovery.discovery.problem import Problem
    from taskdiscovery.executors import workbench
    from taskdiscovery.networks import build_learner
    from taskdiscovery.runtime import ranks
    from taskdiscovery.runtime.callbacks import Callbacks
    from taskdiscovery.store.journal import Journal

    options = td.Meta(
        inner_steps=3, inner_batch=32, tasks_per_step=3, inner_optimizer="sgd",
        memory=sys.argv[2], contain="label", diversity=sys.argv[3],
    )
    config = DiscoverConfig(
        method=options, learner="convnet?width=0.12", tasks=4, precision="float32", device="cpu",
        threads=1,
    )
    data = td.load("shapes?n=400&size=12")
    learner = learner_of(config.learner, config.recipe(1), device="cpu", precision="float32")
    rows = np.arange(len(data))
    with workbench(data, config, learner, rows, Journal(), Callbacks()) as bench:
        problem = Problem(
            workbench=bench, rows=rows, tasks=4, classes=2, seed=0, constraints=Constraints(),
            encoder_recipe=learner.recipe,
        )
        inner = Inner(
            learner=learner, shape=bench.shape, normalization=bench.normalization,
            images=bench.images, options=options, classes=2, seed=0,
        )
        model = build_learner(learner, bench.shape, problem.P, bench.normalization, 3)
        embedding = Embedding(NetworkTrunk(model, bench.images, "float32"), 4, turned=False)
        search = MetaSearch(embedding, inner, problem, options)
        row = search.gradients(0)
    found = {n: p.grad for n, p in search.trained.named_parameters() if p.grad is not None}
    assert all(g.dtype == torch.float64 for g in found.values())
    names = ("agreement", "loss", "diversity", "contained")
    found["numbers"] = torch.tensor([row[name] for name in names])
    if ranks.first():
        np.savez(sys.argv[1], **{name: g.numpy() for name, g in found.items()})
"""


def free_port():
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


def launch(count, *command):
    """Start ranks as torchrun does, but nobody to stop the others when one ends."""
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    common |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    return [
        Started(*command, env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(count)
    ]


def finish(processes, timeout=120):
    ends = [p.communicate(timeout=timeout)[1].decode() for p in processes]
    assert not [e for e in ends if "Traceback" in e], ends
    return [p.returncode for p in processes], ends


def command(*arguments):
    return ["-m", "taskdiscovery", *arguments]


def wait_for_pieces(run, processes, more):
    end = time.monotonic() + 240  # four processes that import torch, on a busy machine
    while (Checkpoints(run / "checkpoints").numbers() or [0])[-1] < more:
        assert time.monotonic() < end
        if any(p.poll() is not None for p in processes):
            return
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("memory", "diversity"), [("graphs", "uniformity"), ("store", "information")]
)
def test_two_ranks_give_the_gradient_of_one_process_on_the_joint_batch(tmp_path, memory, diversity):
    script = tmp_path / "gradient.py"
    script.write_text(textwrap.dedent(GRADIENT))
    found = {}
    for count in (1, 2):
        place = tmp_path / f"{count}.npz"
        assert finish(launch(count, script, place, memory, diversity))[0] == [0] * count
        found[count] = dict(np.load(place))
    assert set(found[1]) == set(found[2])
    for name, expected in found[1].items():
        largest = np.abs(expected).max()
        assert largest > 0
        np.testing.assert_allclose(found[2][name], expected, rtol=0, atol=1e-10 * largest)


@slow
def test_two_ranks_that_are_stopped_go_on_bit_by_bit(tmp_path):
    steps = ["--outer-steps", "20", "--checkpoint-every", "0"]
    never, stopped = tmp_path / "never", tmp_path / "stopped"
    assert finish(launch(2, *command(*META, *steps, "--out", never)))[0] == [0, 0]
    for how in (signal.SIGTERM, signal.SIGKILL):
        verb = ["resume", stopped] if stopped.exists() else [*META, *steps, "--out", stopped]
        processes = launch(2, *command(*verb))
        wait_for_pieces(stopped, processes, 4 if how == signal.SIGTERM else 9)
        # A signal to one rank stops both, at the same step.
        processes[1 if how == signal.SIGTERM else 0].send_signal(how)
        codes, _ = finish(processes, 30)
        assert 0 not in codes
    assert Run.open(stopped).state != "done"
    assert finish(launch(2, *command("resume", stopped)))[0] == [0, 0]
    for name in ("encoder.safetensors", "tasks.parquet", "coordinates.parquet"):
        assert (never / name).read_bytes() == (stopped / name).read_bytes()
    steps = [row["step"] for row in Run.open(stopped).metrics() if "step" in row]
    assert steps == list(range(1, 21))


@slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_rank_ends_the_others(tmp_path, victim):
    """Fault 21."""
    place = tmp_path / "run"
    steps = ["--outer-steps", "3000", "--checkpoint-every", "0"]
    processes = launch(2, *command(*META, *steps, "--out", place))
    wait_for_pieces(place, processes, 3)
    processes[victim].kill()
    began = time.monotonic()
    codes, ends = finish(processes, 30)
    assert time.monotonic() - began < 30
    assert codes[1 - victim] == 7
    if victim:  # the first rank alone speaks of it in the run
        assert "another rank was lost" in ends[0]
        assert Run.open(place).state == "failed"


@slow
def test_under_torchrun_a_killed_rank_ends_the_job(tmp_path):
    place = tmp_path / "run"
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port"]
    torchrun += [str(free_port()), "-m", "taskdiscovery", *META, "--outer-steps", "3000"]
    process = subprocess.Popen(
        [sys.executable, *torchrun, "--checkpoint-every", "0", "--out", str(place)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    wait_for_pieces(place, [process], 3)
    listed = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
    )
    children = [int(pid) for pid in listed.stdout.split()]
    os.kill(children[-1], signal.SIGKILL)
    began = time.monotonic()
    process.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert process.returncode != 0
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@slow
def test_a_save_that_fails_on_one_rank_ends_all(tmp_path):
    """Fault 22: the disk of the first rank is full; none hangs."""
    script = tmp_path / "full.py"
    script.write_text(
        textwrap.dedent("""
        import sys
        from taskdiscovery.runtime import ranks
        from taskdiscovery.cli import main
        from taskdiscovery.errors import ResourceError
        from taskdiscovery.store import Checkpoints

        real, saves = Checkpoints.save, []

        def save(self, *arguments):
            saves.append(1)
            if len(saves) > 3:
                raise ResourceError("the disk is full")
            return real(self, *arguments)

        Checkpoints.save = save
        sys.exit(main(sys.argv[1:]))
        """)
    )
    arguments = [*META, "--outer-steps", "500", "--checkpoint-every", "0"]
    codes, _ = finish(launch(2, script, *arguments, "--out", tmp_path / "run"), 60)
    assert codes == [5, 7]


@slow
def test_another_number_of_ranks_is_refused_unless_asked_for(tmp_path):
    """Fault 23."""
    place = tmp_path / "run"
    steps = ["--outer-steps", "40", "--checkpoint-every", "0"]
    processes = launch(2, *command(*META, *steps, "--out", place))
    wait_for_pieces(place, processes, 5)
    for process in processes:
        process.send_signal(signal.SIGTERM)
    assert finish(processes)[0] == [143, 143]
    codes, ends = finish(launch(1, *command("resume", place)))
    assert codes == [4]
    assert "started by 2 ranks, and there are 1" in ends[0]
    assert finish(launch(1, *command("resume", place, "--change-ranks")))[0] == [0]
    result = json.loads((place / "result.json").read_text())
    assert result["exact"] is False
    assert result["ranks"] == [2, 1]


@slow
def test_ranks_share_each_batch_of_a_training(tmp_path):
    """Data-parallel: without batch norm, the updates are those of one process."""
    found = {}
    for count in (1, 2):
        place = tmp_path / str(count)
        plain = [*SCORE, "--learner", "linear", "--precision", "float32", "--out", place]
        codes, ends = finish(launch(count, *command(*plain)))
        assert codes == [0] * count, ends
        found[count] = Run.open(place).table("scores/label-disc-cross/scores.parquet")
    np.testing.assert_allclose(found[1]["agreement"], found[2]["agreement"], atol=1e-6)
    assert Run.open(tmp_path / "2").config["ranks"] == 2


def test_other_ranks_than_were_started_are_refused():
    codes, ends = finish(launch(1, *command(*SCORE, "--ranks", "2")))
    assert codes == [2]
    assert "torchrun --nproc-per-node 2" in ends[0]
