"""`hf:PATH`: a model of transformers in a local folder, of safetensors and without code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskdiscovery.config.pixels import PIXEL_OPTIONS, pixels_of
from taskdiscovery.config.specs import Spec
from taskdiscovery.errors import ConfigError, DataError, first_line
from taskdiscovery.features.backbones.kind import Kind, Network, wrong_weights
from taskdiscovery.types import Backbone, Document

if TYPE_CHECKING:
    from torch import Tensor, nn

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
#: outputs that may be asked for.
OUTPUTS = ("image_embeds", "pooler_output", "last_hidden_state")
#: what Pillow calls ways to scale by number.
_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}


def _resolve(spec: Spec) -> Backbone:
    folder = _folder(spec)
    pixels = pixels_of(spec, pixels_said(_read(folder / PROCESSOR, optional=True)))
    return Backbone(
        name="hf",
        sha256=_sha256(folder),
        output=spec.choice("output", "", OUTPUTS) or "",
        pool=spec.choice("pool", "", ("first", "mean")) or "",
        asked=spec.text,
        **vars(pixels),
    )


def _load(spec: Spec, backbone: Backbone, device: str) -> Network:
    from taskdiscovery.features.backbones.torch_network import TorchNetwork

    folder = _folder(spec)
    if _sha256(folder) != backbone.sha256:
        raise wrong_weights(backbone)
    return TorchNetwork(_module(spec, folder, backbone.output), backbone, device)


def _module(spec: Spec, folder: Path, output: str) -> nn.Module:
    """Return a module of normalized images that gives one output of the model.

    Raises:
        ConfigError: where transformers is missing, or the output is not there or not trained.
        DataError: where the folder cannot be read.
    """
    from torch import nn

    model, lacking = _model(spec, folder)
    embeds = hasattr(model, "get_image_features")
    wanted = output or ("image_embeds" if embeds else "pooler_output")
    # A checkpoint without a pooler gets one that is drawn anew, and differs each time.
    needed = [name for name in lacking if wanted == "pooler_output" or "pooler" not in name]
    if needed:
        pooler = all("pooler" in name for name in lacking)
        raise ConfigError(
            f"{len(lacking)} weights of the model are not in the folder, e.g. {needed[0]}",
            where=spec.text,
            hint="add output=last_hidden_state&pool=first (or mean), which needs none of them"
            if pooler
            else "give the folder of the whole model",
        )

    class Asked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model.float()

        def forward(self, x: Tensor) -> Any:
            if wanted == "image_embeds" and embeds:
                found = self.model.get_image_features(pixel_values=x)
                return found if hasattr(found, "shape") else found.pooler_output
            found = getattr(self.model, "vision_model", self.model)(pixel_values=x)
            if getattr(found, wanted, None) is None:
                raise ConfigError(
                    f"{type(self.model).__name__} gives no {wanted}",
                    where=spec.text,
                    hint="add output=last_hidden_state&pool=first, or pool=mean",
                )
            return getattr(found, wanted)

    return Asked()


def _model(spec: Spec, folder: Path) -> tuple[Any, list[str]]:
    """Load the model; return the names of weights that its folder lacks, too.

    Raises:
        ConfigError: where transformers is missing.
        DataError: where the folder cannot be read.
    """
    from taskdiscovery.data.readers.adapters import import_extra

    transformers = import_extra("transformers", "transformers", f"backbone {spec.text}")
    logging = transformers.utils.logging
    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # what is missing is looked at here
    try:
        model, told = transformers.AutoModel.from_pretrained(
            str(folder),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:  # transformers raises errors of many kinds
        raise DataError(
            f"the model cannot be loaded: {first_line(error)}",
            where=str(folder),
            hint="give a folder of save_pretrained, with weights in safetensors",
        ) from error
    finally:
        logging.set_verbosity(verbosity)
    return model, sorted(map(str, told.get("missing_keys", ())))


def pixels_said(said: Document) -> Document:
    """Return what a preprocessor's config says of pixels, by the names of `Pixels`."""
    found: Document = {}
    size = _sides(said.get("size"))
    crop = _sides(said.get("crop_size")) if said.get("do_center_crop") else None
    if said.get("do_resize", True) and size is not None:
        found["fit"] = "crop" if crop is not None or _shortest(said.get("size")) else "squash"
        found["size"], found["resize"] = (crop, size) if crop is not None else (size, size)
    elif crop is not None:
        found["size"] = crop
    if said.get("resample") in _RESAMPLE:
        found["interpolation"] = _RESAMPLE[said["resample"]]
    if said.get("do_rescale", True):
        found["scale"] = 255 * float(said.get("rescale_factor", 1 / 255))
    else:
        found["scale"] = 255.0
    if not said.get("do_normalize", True):
        found |= {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    else:
        for key in ("mean", "std"):
            values = said.get(f"image_{key}")
            if isinstance(values, list) and len(values) == 3:
                found[key] = tuple(map(float, values))
    return found


def _shortest(size: Any) -> bool:
    return isinstance(size, int) or (isinstance(size, dict) and "shortest_edge" in size)


def _sides(size: Any) -> int | None:
    """Return the side of a square, of the forms in which it is written; else None."""
    if isinstance(size, int):
        return size
    if isinstance(size, dict):
        if isinstance(size.get("shortest_edge"), int):
            return int(size["shortest_edge"])
        if isinstance(size.get("height"), int) and size.get("height") == size.get("width"):
            return int(size["height"])
    return None


def _folder(spec: Spec) -> Path:
    """Return the folder, which holds a model without code of its own.

    Raises:
        ConfigError: where its config names code.
        DataError: where it is none.
    """
    folder = Path(spec.path).expanduser()
    said = _read(folder / CONFIG, optional=False)
    if "auto_map" in said:
        raise ConfigError(
            "the model needs code of its own, which is not run",
            where=str(folder / CONFIG),
            hint="export it to ONNX, or name a factory of yours: package.module:factory?weights=…",
        )
    if not list(folder.glob("*.safetensors")):
        raise ConfigError(
            "the folder has no weights in safetensors: a pickle runs code when it is read",
            where=str(folder),
            hint="load it once where you trust it, and save_pretrained(…, safe_serialization=True)",
        )
    return folder


def _read(path: Path, *, optional: bool) -> Document:
    """Read a file of JSON.

    Raises:
        DataError: where it cannot be read.
    """
    if optional and not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"the folder cannot be read as a model: {first_line(error)}",
            where=str(path),
            hint="give the folder that save_pretrained wrote, e.g. hf:models/dinov2-small",
        ) from error
    return dict(found) if isinstance(found, dict) else {}


def _sha256(folder: Path) -> str:
    """Hash the weights and the architecture."""
    from taskdiscovery.networks.pretrained import sha256_of

    files = sorted([*folder.glob("*.safetensors"), folder / CONFIG])
    lines = [f"{file.name} {sha256_of(file)}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


KIND = Kind(
    example="hf:FOLDER",
    options=("output", "pool", *PIXEL_OPTIONS),
    resolve=_resolve,
    load=_load,
)
