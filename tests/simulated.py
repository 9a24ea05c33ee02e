"""A GPU that is none: tensors that say `cuda:0`, in the processor's memory, and what they cost.

Jobs run on it as they would on a card, values and all. Refused is what CUDA refuses: tensors of
both devices in one operation, a value read while a graph is recorded, recording on the default
stream, a generator of the other device. Counted is what makes a GPU wait: see `Counts`.

What it does not show: how long anything takes, what a card computes otherwise (TF32, the order of
sums), and what only its libraries refuse. An operation counts as one kernel, whatever it launches.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

import taskdiscovery
from taskdiscovery.networks import placing
from taskdiscovery.training.steps import forget_steps

CUDA = torch.device("cuda", 0)
#: the device that torch itself believes in: without CUDA it cannot differentiate on `cuda`.
META = torch.device("meta")
PACKAGE = Path(taskdiscovery.__file__).parent
THERE = ("cuda", "meta")
aten = torch.ops.aten

#: operations whose result's shape or value the processor must know: it waits for the device.
READ_BACK = {
    aten._local_scalar_dense.default,
    aten.equal.default,
    aten.is_nonzero.default,
    aten.masked_select.default,
    aten.nonzero.default,
    aten._unique2.default,
    aten.unique_dim.default,
    aten.unique_consecutive.default,
    aten.bincount.default,
}
#: operations that take places (argument 1) of a tensor (argument 0).
INDEXED = {
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._unsafe_index.Tensor,
    aten._index_put_impl_.default,
}
#: operations that change these arguments (by number) without saying so.
SILENTLY_WRITTEN = {aten.native_batch_norm.default: (3, 4)}


class Counts:
    """What was done on the simulated GPU.

    Attributes:
        kernels: operations on it, replayed ones among them, views not.
        launches: operations launched one by one, and graphs, each once.
        synchronizations: times that the processor waited for a value, or for the device.
        uploads: copies to the device that the processor waited for, from memory not pinned.
        replays: of graphs.
        places: of the last file and line of the package that did so, for both.

    What other threads wait for is not counted: they may.
    """

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self.kernels = self.launches = self.synchronizations = self.uploads = self.replays = 0
        self.places: Counter[str] = Counter()

    def waited(self, what: str) -> None:
        """Count a synchronization or an upload, and where it came from."""
        if threading.get_ident() != self._thread:
            return
        setattr(self, what, getattr(self, what) + 1)
        self.places[f"{what} {_place()}"] += 1


def _place() -> str:
    frame = sys._getframe(2)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(PACKAGE):
            return f"{path.relative_to(PACKAGE)}:{frame.f_lineno}"
        frame = frame.f_back
    return "tests"


class OnGPU(Tensor):
    """A tensor that torch takes for one without memory, that says `cuda:0`; `held` has values."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> OnGPU:
        made: OnGPU = Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=META,
            requires_grad=False,
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError("a tensor of the simulated GPU is used outside the simulation")

    @property
    def device(self) -> torch.device:
        """The device that it says it is on."""
        return CUDA

    @property
    def is_cuda(self) -> bool:
        """Whether it says it is on a CUDA device."""
        return True

    @property
    def is_meta(self) -> bool:
        """Whether it is without values."""
        return False

    def __repr__(self) -> str:
        return f"OnGPU({self.held!r})"

    def numpy(self, *, force: bool = False) -> Any:
        """Refuse, as CUDA does."""
        if force:
            return self.detach().cpu().numpy()
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")

    def tolist(self) -> Any:
        """Copy to the processor first, as CUDA does."""
        return self.cpu().tolist()

    def __getitem__(self, index: Any) -> Any:
        """Have places that are given as a list made on the processor, as CUDA does."""
        return Tensor.__getitem__(self, _places(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        """See `__getitem__`."""
        Tensor.__setitem__(self, _places(index), value)

    def is_pinned(self, device: Any = None) -> bool:
        """Say no: memory of a device is never pinned."""
        return False


def _places(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(_places(x) for x in index)
    return torch.as_tensor(index) if isinstance(index, (list, np.ndarray)) else index


class _Generator(torch.Generator):
    """A generator of random numbers that says it is on the device it was made for."""

    said: torch.device
    #: those on the device by address: torch gives operations another object for the same one.
    #: They are kept, since the address of one that is freed may become a processor's generator's.
    there: ClassVar[dict[int, torch.Generator]] = {}

    def __new__(cls, device: Any = "cpu") -> _Generator:
        made: _Generator = super().__new__(cls, "cpu")
        made.said = torch.device(device)
        if made.said.type == "cuda":
            cls.there[made._cdata] = made
        return made

    @property
    def device(self) -> torch.device:
        """The device it was made for."""
        return self.said


class Stream:
    """A stand-in for a stream: all work is done at once, in the order it is asked for."""

    device: ClassVar[torch.device] = CUDA

    def __init__(self, *given: Any, **more: Any) -> None:
        pass

    def wait_stream(self, other: Any) -> None:
        """Do nothing."""

    def wait_event(self, event: Any) -> None:
        """Do nothing."""

    def record_event(self, event: Any = None) -> Any:
        """Return an event that has happened."""
        return event or Event()

    def query(self) -> bool:
        """Say that all is done."""
        return True

    def synchronize(self) -> None:
        """Count that the processor waits."""
        _the_gpu().counts.waited("synchronizations")


class Event:
    """A stand-in for an event, which has always happened."""

    def __init__(self, *given: Any, **more: Any) -> None:
        pass

    def record(self, stream: Any = None) -> None:
        """Do nothing."""

    def wait(self, stream: Any = None) -> None:
        """Do nothing: the stream waits, not the processor."""

    def query(self) -> bool:
        """Say that it has happened."""
        return True

    def elapsed_time(self, end: Any) -> float:
        """Return milliseconds that mean nothing."""
        return 1.0

    def synchronize(self) -> None:
        """Count that the processor waits."""
        _the_gpu().counts.waited("synchronizations")


class Graph:
    """A stand-in for a CUDA graph: operations that are done again on the same memory."""

    def __init__(self, *given: Any, **more: Any) -> None:
        self.operations: list[Callable[[], None]] = []
        self.kernels = 0
        self.before: list[tuple[Tensor, Tensor]] = []

    def replay(self) -> None:
        """Do what was recorded."""
        counts = _the_gpu().counts
        counts.launches += 1
        counts.replays += 1
        counts.kernels += self.kernels
        with _the_gpu().random_numbers():
            for operation in self.operations:
                operation()

    def pool(self) -> tuple[int, int]:
        """Return a handle that means nothing."""
        return (0, 0)

    def reset(self) -> None:
        """Forget what was recorded."""
        self.operations, self.kernels = [], 0

    def note(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Remember an operation on the processor's tensors, and its result."""
        self.kernels += 1
        made = _tensors(result)

        def again() -> None:
            new = func(*args, **kwargs)
            for own, other in zip(made, _tensors(new), strict=True):
                if own is not other and own.data_ptr() != other.data_ptr():
                    own.copy_(other)

        self.operations.append(again)

    def undo(self) -> None:
        """Put back what recording has overwritten: a card only records."""
        for tensor, values in reversed(self.before):
            tensor.copy_(values)
        self.before = []


class SimulatedGPU(TorchDispatchMode):
    """Does operations of the simulated GPU on the processor, counts them, refuses what CUDA does.

    Attributes:
        counts: of what was done.
        recording: the graph that is being recorded.
        streams: those entered, the innermost last; the first is the default.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Say no: torch would load its compiler for it, which takes seconds."""
        return False

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counts()
        self.recording: Graph | None = None
        self.streams: list[Any] = [Stream()]
        self.pinned: dict[int, Tensor] = {}
        self.generator = _Generator("cuda")
        self.generator.manual_seed(0)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do an operation."""
        kwargs = dict(kwargs or {})
        tensors = _tensors(args, kwargs)
        there = any(isinstance(x, OnGPU) for x in tensors)
        if any(x.is_meta for x in tensors):
            raise RuntimeError(f"{func}: torch has made a tensor past the simulation")
        asked = kwargs.get("device")
        to_gpu = asked is not None and torch.device(asked).type in THERE
        if not there and not to_gpu:
            return self._on_processor(func, args, kwargs)
        if func in (aten._to_copy.default, aten.copy_.default, aten._copy_from.default):
            return self._copied(func, args, kwargs, tensors)
        if there:
            self._check(func, args, tensors)
        self._check_generator(kwargs.get("generator"))
        if func is aten._fused_sdp_choice.default:
            return 0  # attention as it is written: fused kernels are those of a device
        if func is aten._efficientzerotensor.default:  # zeros without memory, which are read here
            func = aten.zeros.default
        if to_gpu:
            kwargs["device"] = torch.device("cpu")
        if asked is not None and not to_gpu:  # as `zeros_like(x, device="cpu")`
            return func(*_held(args), **_held(kwargs))
        if func in READ_BACK or _by_mask(func, args):
            self._wait("synchronizations")
        return self._wrapped(func, args, kwargs)

    def _on_processor(self, func: Any, args: Any, kwargs: Any) -> Any:
        if kwargs.pop("pin_memory", False):
            return self.pin(func(*args, **kwargs))
        return func(*args, **kwargs)

    def pin(self, tensor: Tensor) -> Tensor:
        """Remember that a tensor's memory is pinned."""
        self.pinned[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    def is_pinned(self, tensor: Tensor) -> bool:
        """Say whether it is."""
        return tensor.untyped_storage().data_ptr() in self.pinned

    def _check(self, func: Any, args: Any, tensors: list[Tensor]) -> None:
        """Refuse tensors of both devices, but for single values."""
        mixed = [x for x in tensors if not isinstance(x, OnGPU) and x.dim() > 0]
        # A tensor of the device may be indexed by places on the processor: they are uploaded.
        if func in INDEXED and isinstance(args[0], OnGPU):
            places = [x for x in _tensors(args[1]) if not isinstance(x, OnGPU)]
            for _ in places:
                self._wait("uploads")
            mixed = [x for x in mixed if not any(x is place for place in places)]
        if mixed:
            raise RuntimeError(
                f"{func}: expected all tensors to be on the same device, but found at least two "
                "devices, cuda:0 and cpu!"
            )

    def _check_generator(self, generator: Any) -> None:
        if generator is not None and generator._cdata not in _Generator.there:
            raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")

    def _wait(self, what: str) -> None:
        if self.recording is not None:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        self.counts.waited(what)

    def _copied(self, func: Any, args: Any, kwargs: Any, tensors: list[Tensor]) -> Any:
        """Copy between devices, or within the simulated one."""
        to_copy = func is aten._to_copy.default
        source = tensors[0] if to_copy else tensors[1]
        device = kwargs.pop("device", None) if to_copy else tensors[0].device
        goal = "cuda" if torch.device(device or source.device).type in THERE else "cpu"
        waits = not kwargs.get("non_blocking", False) and not (not to_copy and args[2:] == (True,))
        if not isinstance(source, OnGPU) and goal == "cuda" and source.dim() + to_copy > 0:
            if waits or not self.is_pinned(source):
                self._wait("uploads")
        elif isinstance(source, OnGPU) and goal == "cpu" and waits:
            self._wait("synchronizations")
        kwargs.pop("pin_memory", None)
        if goal == "cuda":
            if to_copy and device is not None:
                kwargs["device"] = torch.device("cpu")
            return self._wrapped(func, args, kwargs)
        if to_copy and device is not None:
            kwargs["device"] = torch.device("cpu")
        found = func(*_held(args), **_held(kwargs))
        return found if to_copy else args[0]

    def _wrapped(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Do an operation on the values, and say that its result is on the device."""
        own, more = _held(args), _held(kwargs)
        written = _written(func, args, kwargs)
        if self.recording is not None:
            self.recording.before += [(x.held, x.held.clone()) for x in written]
        if torch.Tag.nondeterministic_seeded in func.tags and more.get("generator") is None:
            with self.random_numbers():
                result = func(*own, **more)
        else:
            result = func(*own, **more)
        schema = func._schema
        if not any(r.alias_info and not r.alias_info.is_write for r in schema.returns):
            self.counts.kernels += self.recording is None
            self.counts.launches += self.recording is None
            if self.recording is not None:
                self.recording.note(func, own, more, result)
        known = {id(x.held): x for x in written}
        if isinstance(result, Tensor):
            return known[id(result)] if id(result) in known else OnGPU(result)
        return tree_map_only(Tensor, lambda x: known[id(x)] if id(x) in known else OnGPU(x), result)

    @contextmanager
    def random_numbers(self) -> Iterator[None]:
        """Draw from the device's own generator: the processor's stays where it is."""
        before = torch.get_rng_state()
        torch.set_rng_state(self.generator.get_state())
        try:
            yield
        finally:
            self.generator.set_state(torch.get_rng_state())
            torch.set_rng_state(before)

    @contextmanager
    def record(self, graph: Graph, *given: Any, **more: Any) -> Iterator[None]:
        """Record what is done within the block."""
        if more.get("stream", self.streams[-1]) is self.streams[0]:
            raise RuntimeError("CUDA graphs must be captured on a non-default stream")
        self.recording = graph
        try:
            yield
        finally:
            self.recording = None
            graph.undo()

    @contextmanager
    def on_stream(self, stream: Any) -> Iterator[None]:
        """Work on a stream within the block."""
        self.streams.append(self.streams[-1] if stream is None else stream)
        try:
            yield
        finally:
            self.streams.pop()


def _held(values: Any) -> Any:
    """Return arguments with the values of tensors of the device in place of these."""
    if isinstance(values, OnGPU):
        return values.held
    if isinstance(values, (list, tuple)):
        return type(values)([_held(x) for x in values])
    if isinstance(values, dict):
        return {name: _held(x) for name, x in values.items()}
    return values


def _tensors(*values: Any) -> list[Tensor]:
    """Return the tensors among arguments or results."""
    found: list[Tensor] = []
    for x in values:
        if isinstance(x, Tensor):
            found.append(x)
        elif isinstance(x, (list, tuple)):
            found += _tensors(*x)
        elif isinstance(x, dict):
            found += _tensors(*x.values())
    return found


def _by_mask(func: Any, args: Any) -> bool:
    """Say whether an operation looks for the places where a mask is true."""
    if func not in INDEXED:
        return False
    return any(x.dtype in (torch.bool, torch.uint8) for x in _tensors(args[1]))


def _written(func: Any, args: Any, kwargs: Any) -> list[OnGPU]:
    """Return the tensors that an operation writes into."""
    found: list[Any] = []
    for i, argument in enumerate(func._schema.arguments):
        given = args[i] if i < len(args) else kwargs.get(argument.name)
        silent = i in SILENTLY_WRITTEN.get(func, ())
        if silent or (argument.alias_info is not None and argument.alias_info.is_write):
            found += _tensors(given)
    return [x for x in found if isinstance(x, OnGPU)]


_RUNNING: list[SimulatedGPU] = []


def _the_gpu() -> SimulatedGPU:
    return _RUNNING[-1]


@contextmanager
def simulated_gpu(*, free: float = 70e9) -> Iterator[Counts]:
    """Have a GPU within the block, and count what is done on it.

    Args:
        free: bytes of its memory that are said to be free, whatever lies there.
    """
    gpu = SimulatedGPU()
    replacing = torch.__future__.get_overwrite_module_params_on_conversion()
    with ExitStack() as stack:
        for owner, name, value in _stand_ins(gpu, int(free)):
            stack.enter_context(mock.patch.object(owner, name, value, create=True))
        stack.enter_context(torch.autograd.set_multithreading_enabled(False))
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, replacing)
        _RUNNING.append(gpu)
        stack.callback(_RUNNING.pop)
        stack.enter_context(gpu)
        for forget in (placing._STORES.clear, forget_steps):  # of jobs before, and of these
            forget()
            stack.callback(forget)
        yield gpu.counts


def _stand_ins(gpu: SimulatedGPU, free: int) -> Iterator[tuple[Any, str, Any]]:
    """Yield what stands where, for as long as the GPU is there."""
    total = 80 * 10**9

    def synchronize(*device: Any) -> None:
        gpu.counts.waited("synchronizations")

    def nothing() -> Callable[..., None]:  # each its own: torch's compiler keeps them in a table
        return lambda *given, **more: None

    @contextmanager
    def nowhere(*given: Any, **more: Any) -> Iterator[None]:
        yield

    values: dict[str, Any] = {
        "is_available": True,
        "is_initialized": True,
        "device_count": 1,
        "current_device": 0,
        "is_bf16_supported": True,
        "mem_get_info": (free, total),
        "memory_allocated": 0,
        "memory_reserved": 0,
        "max_memory_allocated": 0,
        "get_device_name": "Simulated GPU",
        "get_device_capability": (9, 0),
        "get_device_properties": SimpleNamespace(
            name="Simulated GPU", total_memory=total, multi_processor_count=132, major=9, minor=0
        ),
        "graph_pool_handle": (0, 0),
        "_is_in_bad_fork": False,
    }
    for name, value in values.items():
        yield torch.cuda, name, lambda *given, _value=value, **more: _value
    for name in ("_lazy_init", "init", "set_device", "empty_cache", "reset_peak_memory_stats"):
        yield torch.cuda, name, nothing()
    for name in ("set_per_process_memory_fraction", "ipc_collect"):
        yield torch.cuda, name, nothing()
    own = gpu.generator
    yield torch.cuda, "default_generators", (own,)
    yield torch.cuda, "get_rng_state", lambda *card: own.get_state()
    yield torch.cuda, "get_rng_state_all", lambda: [own.get_state()]
    yield torch.cuda, "set_rng_state", lambda state, *card: own.set_state(state)
    yield torch.cuda, "set_rng_state_all", lambda states: own.set_state(states[0])
    for name in ("manual_seed", "manual_seed_all"):
        yield torch.cuda, name, lambda seed: own.manual_seed(seed) and None
    yield torch.cuda, "synchronize", synchronize
    yield torch.cuda, "current_stream", lambda *device: gpu.streams[-1]
    yield torch.cuda, "default_stream", lambda *device: gpu.streams[0]
    yield torch.cuda, "is_current_stream_capturing", lambda: gpu.recording is not None
    yield torch.cuda, "stream", gpu.on_stream
    yield torch.cuda, "device", nowhere
    yield torch.cuda, "graph", gpu.record
    yield torch.cuda, "CUDAGraph", Graph
    yield torch.cuda, "Stream", Stream
    yield torch.cuda, "Event", Event
    yield torch, "Generator", _Generator
    yield torch, "autocast", _autocast
    yield Tensor, "record_stream", nothing()
    yield Tensor, "pin_memory", lambda x, *device: gpu.pin(x.clone())
    yield Tensor, "is_pinned", lambda x, *device: gpu.is_pinned(x)
    yield from _moving()
    run = threading.Thread.run

    def within(thread: threading.Thread) -> None:
        with gpu, torch.autograd.set_multithreading_enabled(False):
            run(thread)

    yield threading.Thread, "run", within


def _moving() -> Iterator[tuple[Any, str, Any]]:
    """Yield what moves tensors to the device: torch must not look for it itself."""
    to = Tensor.to

    def named(x: Any) -> Any:
        cuda = isinstance(x, (str, torch.device)) and torch.device(x).type == "cuda"
        return META if cuda else x

    def moved(tensor: Tensor, *given: Any, **more: Any) -> Tensor:
        return to(tensor, *map(named, given), **{name: named(x) for name, x in more.items()})

    yield Tensor, "to", moved
    yield Tensor, "cuda", lambda tensor, *device, **more: moved(tensor, CUDA, **more)
    for name in ("tensor", "as_tensor"):
        make = getattr(torch, name)

        def made(*given: Any, _make: Any = make, device: Any = None, **more: Any) -> Tensor:
            tensor = _make(*given, **more)
            return tensor if device is None else moved(tensor, device)

        yield torch, name, made


class _Autocast(TorchFunctionMode):
    """Multiplies in bf16 on the simulated device, as `torch.autocast` does on a card."""

    CAST: ClassVar[set[Any]] = {
        *(F.conv1d, F.conv2d, F.conv3d, F.linear, F.bilinear, F.scaled_dot_product_attention),
        *(torch.conv1d, torch.conv2d, torch.conv3d, torch.matmul, torch.mm, torch.bmm),
        *(torch.addmm, torch.baddbmm, torch.einsum, Tensor.matmul, Tensor.mm, Tensor.bmm),
        *(Tensor.__matmul__, Tensor.addmm),
    }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do an operation."""
        if func in self.CAST:
            args, kwargs = tree_map_only(OnGPU, _to_bf16, (args, kwargs or {}))
        return func(*args, **kwargs or {})


def _to_bf16(x: OnGPU) -> Tensor:
    return x.to(torch.bfloat16) if x.dtype == torch.float32 else x


_AUTOCAST = torch.autocast


def _autocast(device: str, dtype: Any = None, enabled: bool = True, **more: Any) -> Any:
    """Stand in for `torch.autocast`."""
    if torch.device(device).type != "cuda":
        return _AUTOCAST(device, dtype=dtype, enabled=enabled, **more)
    return _Autocast() if enabled else nullcontext()
