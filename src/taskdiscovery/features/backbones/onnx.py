"""`onnx:FILE?output=…&size=…&mean=…&std=…`: an exported network, run by onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskdiscovery.config.pixels import PIXEL_OPTIONS, pixels_of
from taskdiscovery.config.specs import Spec
from taskdiscovery.errors import ConfigError, DataError, first_line, nearest
from taskdiscovery.features.backbones.kind import Kind, Network, wrong_weights
from taskdiscovery.runtime import devices
from taskdiscovery.types import Backbone, Document
from taskdiscovery.types.backbone import LAYOUTS

if TYPE_CHECKING:
    from torch import Tensor

#: types of input that are fed; bytes are fed as they are.
_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}


def _resolve(spec: Spec) -> Backbone:
    from taskdiscovery.networks.pretrained import sha256_of

    sha256 = sha256_of(spec.path)
    session = _session(spec, "cpu")
    entry = _entry(session, spec)
    layout = _layout(entry.shape, spec)
    side = entry.shape[2] if len(entry.shape) == 4 else None
    known: Document = {"size": side if isinstance(side, int) else None}
    if entry.type == "tensor(uint8)":
        known |= {"mean": (0.0,) * 3, "std": (1.0,) * 3, "scale": 255.0}
    pixels = pixels_of(spec, known)
    if isinstance(side, int) and side != pixels.size:
        raise ConfigError(
            f"the network takes images of {side} x {side} alone",
            where=spec.text,
            hint=f"say size={side}, or leave it out",
        )
    return Backbone(
        name="onnx",
        sha256=sha256,
        layout=layout,
        output=_output(session, spec),
        pool=spec.choice("pool", "", ("first", "mean")) or "",
        asked=spec.text,
        **vars(pixels),
    )


def _load(spec: Spec, backbone: Backbone, device: str) -> Network:
    from taskdiscovery.networks.pretrained import sha256_of

    if sha256_of(spec.path) != backbone.sha256:
        raise wrong_weights(backbone)
    return _OnnxNetwork(_session(spec, device), backbone, spec)


class _OnnxNetwork:
    channels = 3

    def __init__(self, session: Any, backbone: Backbone, spec: Spec) -> None:
        import numpy as np

        self.session, self.backbone = session, backbone
        self.entry = _entry(session, spec)
        self.type = _TYPES[self.entry.type]
        self.mean = np.asarray(backbone.mean, np.float32)
        self.std = np.asarray(backbone.std, np.float32)

    def __call__(self, images: Tensor) -> Tensor:
        import numpy as np
        import torch

        pixels = images.numpy()
        if self.type != "uint8":
            scale = np.float32(self.backbone.scale / 255)
            pixels = (pixels.astype(np.float32) * scale - self.mean) / self.std
        if self.backbone.layout == "NCHW":
            pixels = pixels.transpose(0, 3, 1, 2)
        pixels = np.ascontiguousarray(pixels, dtype=self.type)
        fixed = self.entry.shape[0]
        count = fixed if isinstance(fixed, int) and fixed > 0 else len(pixels)
        blocks = [self._ask(pixels[i : i + count], count) for i in range(0, len(pixels), count)]
        return torch.from_numpy(np.concatenate(blocks).astype(np.float32, copy=False))

    def _ask(self, pixels: Any, count: int) -> Any:
        import numpy as np

        filled = np.concatenate([pixels, np.repeat(pixels[:1], count - len(pixels), axis=0)])
        (found,) = self.session.run([self.backbone.output], {self.entry.name: filled})
        return found[: len(pixels)]


def _session(spec: Spec, device: str) -> Any:
    """Open the file.

    Raises:
        ConfigError: where onnxruntime is not installed.
        DataError: where the file cannot be read.
    """
    import torch

    from taskdiscovery.data.readers.adapters import import_extra

    runtime = import_extra("onnxruntime", "onnx", f"backbone {spec.text}")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    cuda, providers = "CUDAExecutionProvider", []
    if devices.is_cuda(device) and cuda in runtime.get_available_providers():
        # By itself it takes the first GPU, and rounds float32 to TF32.
        number = torch.device(device).index
        number = torch.cuda.current_device() if number is None else number
        providers = [(cuda, {"device_id": number, "use_tf32": 0})]
    try:
        return runtime.InferenceSession(
            spec.path, options, providers=[*providers, "CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime raises errors of many kinds
        raise DataError(
            f"the network cannot be read: {first_line(error)}",
            where=spec.path,
            hint="give an ONNX file; torch.onnx.export writes one",
        ) from error


def _entry(session: Any, spec: Spec) -> Any:
    """Return what images are fed into.

    Raises:
        ConfigError: where there are several inputs, or one of another type.
    """
    entries = session.get_inputs()
    if len(entries) != 1 or entries[0].type not in _TYPES:
        found = ", ".join(f"{entry.name} ({entry.type})" for entry in entries)
        raise ConfigError(
            f"the network takes {found}",
            where=spec.text,
            hint="export one that takes images alone, in float32",
        )
    return entries[0]


def _layout(shape: Any, spec: Spec) -> str:
    """Return the layout of images: as the network says it, or as the SPEC does.

    Raises:
        ConfigError: where neither says it, or images cannot be fed.
    """
    given = spec.choice("layout", None, LAYOUTS)
    if len(shape) != 4:
        raise ConfigError(
            f"the network takes an input of shape {shape}, which is none of images",
            where=spec.text,
            hint="export one that takes (N, 3, size, size)",
        )
    channels = {"NCHW": shape[1], "NHWC": shape[3]}
    said = [layout for layout, count in channels.items() if count == 3]
    if given is None and len(said) == 1:
        return said[0]
    known = isinstance(channels.get(given or ""), int)
    if given is None or (known and channels[given] != 3):
        raise ConfigError(
            f"the network does not say where its channels are: {shape}",
            where=spec.text,
            hint="add layout=NCHW or layout=NHWC; it must take three channels",
        )
    return given


def _output(session: Any, spec: Spec) -> str:
    """Return the name of the output that is wanted.

    Raises:
        ConfigError: where there are several and none is named, or another.
    """
    names = [output.name for output in session.get_outputs()]
    if "output" not in spec.options and len(names) == 1:
        return str(names[0])
    given = spec.options.get("output", "")
    if given not in names:
        what = f"no output is called {given!r}" if given else f"the network has {len(names)}"
        hint = nearest(given, names) if given else f"add output=…: {', '.join(names)}"
        raise ConfigError(f"{what} outputs" if not given else what, where=spec.text, hint=hint)
    return given


KIND = Kind(
    example="onnx:FILE?output=NAME&size=224&mean=…&std=…",
    options=("output", "layout", "pool", *PIXEL_OPTIONS),
    resolve=_resolve,
    load=_load,
)
