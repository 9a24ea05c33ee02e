"""What would be faster? Other switches, CUDA graphs, several runs at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import grad, vmap
from torch.utils._pytree import tree_flatten, tree_map

import taskdiscovery as td
from benchmarks.gpu.harness import Check, Row
from benchmarks.gpu.lab import EXACT, Lab, build, relative, switched
from benchmarks.metagrad import SHAPE, problem_of, search_on
from taskdiscovery.metagrad import State
from taskdiscovery.networks.images import take
from taskdiscovery.networks.stateless import Stateless
from taskdiscovery.training import Batch, cross_entropy, step
from taskdiscovery.training.optimizers import make_optimizer

SWITCHES: tuple[tuple[str, str, dict[str, bool]], ...] = (
    ("bf16", "bf16", {}),
    ("bf16, benchmark", "bf16", {"benchmark": True}),
    ("bf16, deterministic", "bf16", {"deterministic": True}),
    ("float32", "float32", {}),
    ("float32, TF32 everywhere", "float32", {"cudnn_tf32": True, "matmul_tf32": True}),
    ("float32, no TF32", "float32", EXACT),
)


def checks(lab: Lab) -> Iterator[Check]:
    """Yield the checks of this section."""
    for network in ("mlp",) if lab.tiny else ("convnet", "resnet18"):
        yield Check(
            name=f"a step of {network} by switches, ms",
            work=partial(by_switches, lab, network),
            need=15,
        )
        if lab.cuda:
            yield Check(
                name=f"a step of {network} as a CUDA graph, ms",
                work=partial(as_graph, lab, network),
                need=10,
            )
    if not lab.cuda:
        return
    yield Check(name="graphs on streams: images/s of all", work=partial(streams, lab), need=15)
    yield Check(name="stacked weights: images/s of all", work=partial(stacked, lab), need=12)
    for memory in ("store", "graphs"):
        for network, rule in (("resnet18", "sgd"), ("convnet", "adam")):
            yield Check(
                name=f"an inner step of {network} as a CUDA graph: {rule}, {memory}",
                work=partial(inner_graph, lab, network, rule, memory),
                need=15,
            )


def batch_of(lab: Lab) -> int:
    """Return the images of a step."""
    return 64 if lab.tiny else 512


def stepping(lab: Lab, network: str, precision: str, compiled: str = "") -> Callable[[], Tensor]:
    """Return a step as the package does it.

    Args:
        lab: where.
        network: SPEC.
        precision: `float32` or `bf16`.
        compiled: mode of `torch.compile`; empty for none.
    """
    learner = lab.learner(network, precision)
    model = build(learner).train()
    optimizer, _ = make_optimizer(model, learner.recipe, 10)
    rows = torch.randint(0, len(lab.resident), (batch_of(lab),), device=lab.device)
    forward: Any = model
    if compiled:
        forward = torch.compile(model, mode=None if compiled == "default" else compiled)

    def run() -> Tensor:
        batch = Batch(take(lab.resident, rows), rows % 2)
        return step(forward, batch, cross_entropy, optimizer, precision)

    return run


def by_switches(lab: Lab, network: str) -> Row:
    """Time a step under each switch."""
    found: Row = {}
    for name, precision, switches in SWITCHES:
        with switched(**switches):
            found[name] = round(1e3 * lab.clock(stepping(lab, network, precision), 20, 5), 3)
    return found


class Graphed:
    """A whole step, gather and optimizer among it, as one CUDA graph."""

    def __init__(self, lab: Lab, network: str) -> None:
        model = build(lab.learner(network)).train()
        optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True, capturable=True)
        rows = torch.randint(0, len(lab.resident), (batch_of(lab),), device=lab.device)
        self.total = torch.zeros((), device=lab.device)

        def body() -> None:
            with torch.autocast(lab.device, torch.bfloat16, enabled=lab.precision == "bf16"):
                outputs = model(take(lab.resident, rows))
            loss = F.cross_entropy(outputs.float(), rows % 2)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            self.total.add_(loss.detach())

        def warm() -> None:
            for _ in range(3):
                optimizer.zero_grad(set_to_none=True)
                body()

        _aside(warm)
        optimizer.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            body()
        self.kept = (model, optimizer, rows)  # the graph works on their memory

    def replay(self) -> None:
        """Do the step."""
        self.graph.replay()


def _aside(work: Callable[[], Any]) -> None:
    """Do work on a stream of its own, as must be before it is captured."""
    aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        work()
    torch.cuda.current_stream().wait_stream(aside)


def as_graph(lab: Lab, network: str) -> Row:
    """Time a step as it is, and as a CUDA graph."""
    found: Row = {"as it is": round(1e3 * lab.clock(stepping(lab, network, "bf16"), 30, 5), 3)}
    for name, benchmark in (("graph", None), ("graph, benchmark", True)):
        with switched(benchmark=benchmark):
            graph = Graphed(lab, network)
            found[name] = round(1e3 * lab.clock(graph.replay, 50, 5), 3)
            found[f"loss of {name}"] = round(float(graph.total) / 58, 3)
    return found


def streams(lab: Lab) -> Row:
    """Replay the steps of several runs at once, each on a stream of its own."""
    found: Row = {}
    for count in (1, 2, 4, 8, 16):
        graphs = [Graphed(lab, "convnet") for _ in range(count)]
        aside = [torch.cuda.Stream() for _ in graphs]  # type: ignore[no-untyped-call]
        took = lab.clock(partial(_together, graphs, aside), 40, 5)
        found[str(count)] = round(count * batch_of(lab) / took)
    return found


def _together(graphs: list[Graphed], aside: list[Any]) -> None:
    for graph, stream in zip(graphs, aside, strict=True):
        with torch.cuda.stream(stream):
            graph.replay()


def stacked(lab: Lab) -> Row:
    """Take the gradients of several runs at once, under `torch.func.vmap`."""
    found: Row = {}
    size = batch_of(lab)
    for network in ("convnet", "mlp", "resnet18?width=0.25"):
        for count in (1, 4, 8):
            learner = lab.learner(network)
            nets = [Stateless(build(learner, seed=r), "bf16") for r in range(count)]
            each = [net.params() for net in nets]
            params = {key: torch.stack([own[key] for own in each]) for key in each[0]}
            x = lab.resident[: count * size].view(count, size, *SHAPE)
            y = (torch.arange(count * size, device=lab.device) % 2).view(count, size)

            def loss(
                p: dict[str, Tensor], a: Tensor, b: Tensor, net: Stateless = nets[0]
            ) -> Tensor:
                return F.cross_entropy(net(p, a).float(), b)

            work = partial(vmap(grad(loss)), params, x, y)
            found[f"{network.partition('?')[0]}, {count}"] = round(
                count * size / lab.clock(work, 8, 2)
            )
    return found


def inner_graph(lab: Lab, network: str, rule: str, memory: str) -> Row:
    """Time an inner step, forth and back, as it is and as a CUDA graph; compare the two."""
    size = 512 if network == "resnet18" else 256
    options = td.Meta(inner_batch=size, inner_steps=2, inner_optimizer=rule)
    problem = problem_of(lab.many, lab.resident, lab.learner(network))
    inner = search_on(problem, options).inner
    labels = torch.full((size, 2), 0.5, device=lab.device).requires_grad_()
    given = inner.deal(torch.arange(size, device=lab.device), labels)
    state = State(*tree_map(torch.detach, inner.step.init(inner.start(0))))
    costate = tree_map(lambda x: 1e-3 * torch.randn_like(x), state)
    kept: list[Any] = []

    def body() -> None:
        after, tape = inner.step.forward(0, state, given, graph=memory == "graphs")
        kept[:] = [after, tape.pullback(costate, curvature=True)]

    def pulled() -> list[Tensor]:
        return tree_flatten(kept[1][0].params)[0]

    plain = lab.clock(body, 3, 2)
    first = [x.clone() for x in pulled()]
    _aside(body)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        body()
    replayed = lab.clock(graph.replay, 10, 2)
    worst = max(relative(a, b) for a, b in zip(pulled(), first, strict=True))
    return {
        "ms": round(1e3 * plain, 1),
        "ms as a graph": round(1e3 * replayed, 1),
        "difference": f"{worst:.0e}",
        "peak GB": lab.peak(),
    }
