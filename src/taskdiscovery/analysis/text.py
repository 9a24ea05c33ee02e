"""Words for a task from a vision-language model (CLIP) that lies on disk. An optional extra.

For each task, the words whose similarity to the images differs most between the two classes. They
are a hint for the eye, not evidence: the model has shortcuts of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from taskdiscovery.data.readers.adapters import import_extra
from taskdiscovery.errors import ConfigError, first_line
from taskdiscovery.types import FloatArray, ImageArray, IntArray

#: what every task is compared with.
WORDS = (
    *("dark", "bright", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"),
    *("grey", "white", "black", "colourful", "dull", "sky", "water", "grass", "sand", "snow"),
    *("forest", "road", "indoors", "outdoors", "sunset", "night", "animal", "vehicle", "person"),
    *("building", "plant", "close-up", "far-away", "centred", "crowded", "empty", "blurry"),
    *("sharp", "striped", "dotted", "smooth", "rough", "round", "angular", "horizontal"),
    *("vertical", "symmetric", "fur", "metal", "wood", "text"),
)
TEMPLATE = "a photo of something {}"
_MEAN, _STD = (0.4815, 0.4578, 0.4082), (0.2686, 0.2613, 0.2758)  # CLIP's pixel normalization


class TextModel:
    """A CLIP model with its tokenizer.

    Args:
        path: a directory as `save_pretrained` writes it; nothing is downloaded, and code in it is
            not run.
        option: that named it, for errors.
        device: where it computes.

    Raises:
        ConfigError: where transformers is missing or the directory cannot be read.
    """

    def __init__(self, path: Path, option: str = "--text-model", *, device: str = "cpu") -> None:
        transformers = import_extra("transformers", "text", option)
        if not path.is_dir():
            raise ConfigError(
                "there is no such model directory", where=str(path), hint="give a local path"
            )
        transformers.utils.logging.disable_progress_bar()
        try:
            local = {"local_files_only": True}
            self.model: Any = transformers.CLIPModel.from_pretrained(
                path, use_safetensors=True, **local
            ).eval()
            self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
                path, trust_remote_code=False, **local
            )
        except Exception as error:  # what a wrong directory raises has no end
            raise ConfigError(
                f"the model cannot be read: {first_line(error)}",
                where=str(path),
                hint="give a directory with config.json, model.safetensors and a tokenizer",
            ) from error
        self.model, self.device = self.model.to(device), device
        self.side = int(self.model.config.vision_config.image_size)

    @torch.no_grad()
    def texts(
        self, words: tuple[str, ...], template: str = TEMPLATE, batch: int = 256
    ) -> torch.Tensor:
        """Return (W, P) unit embeddings of words, each within a template, on the CPU."""
        found = []
        for start in range(0, len(words), batch):
            filled = [template.format(word) for word in words[start : start + batch]]
            tokens = self.tokenizer(filled, padding=True, return_tensors="pt")
            kept = {k: tokens[k].to(self.device) for k in ("input_ids", "attention_mask")}
            pooled = self.model.text_model(**kept).pooler_output
            found.append(F.normalize(self.model.text_projection(pooled), dim=1).cpu())
        return torch.cat(found)

    @torch.no_grad()
    def images(self, images: ImageArray, batch: int = 64) -> torch.Tensor:
        """Return (N, P) unit embeddings of (N, H, W, channels) uint8 images, on the CPU."""
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (_MEAN, _STD))
        found = []
        for start in range(0, len(images), batch):
            x = torch.from_numpy(np.asarray(images[start : start + batch])).permute(0, 3, 1, 2)
            x = x.float().expand(-1, 3, -1, -1) / 255 if x.shape[1] == 1 else x.float() / 255
            x = F.interpolate(x[:, :3], (self.side, self.side), mode="bicubic", antialias=True)
            pixels = ((x - mean) / std).to(self.device)
            pooled = self.model.vision_model(pixel_values=pixels).pooler_output
            found.append(F.normalize(self.model.visual_projection(pooled), dim=1).cpu())
        return torch.cat(found)


def words_for(
    labels_ND: IntArray, images_NP: torch.Tensor, texts_WP: torch.Tensor, words: tuple[str, ...]
) -> list[dict[str, list[dict[str, float | str]]]]:
    """Return, for each binary task, the five words that lean most to either class.

    Args:
        labels_ND: (N, D) classes 0 and 1.
        images_NP: unit embeddings of the images.
        texts_WP: unit embeddings of the words.
        words: W words.

    Returns:
        For each task `class_0` and `class_1`: words with their lean, the difference of the mean
        similarity in standard deviations over images.
    """
    similarity_NW: FloatArray = (images_NP @ texts_WP.T).double().numpy()
    spread_W = np.maximum(similarity_NW.std(axis=0), 1e-12)
    result = []
    for labels_N in labels_ND.T:
        upper_W = similarity_NW[labels_N == 1].mean(axis=0)
        lean_W = (upper_W - similarity_NW[labels_N == 0].mean(axis=0)) / spread_W
        order = np.argsort(lean_W, kind="stable")
        result.append(
            {
                name: [{"word": words[i], "lean": float(sign * lean_W[i])} for i in chosen]
                for name, sign, chosen in (
                    ("class_0", -1, order[:5]),
                    ("class_1", 1, order[::-1][:5]),
                )
            }
        )
    return result
