"""Models that say how well each word fits an image: an ImageNet classifier, or a CLIP on disk.

Axes: N images, W words, C classes of ImageNet, P features.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from taskdiscovery.analysis.naming.vocabulary import CLASSES, Vocabulary, imagenet
from taskdiscovery.features import backbone_of, embed_images, is_backbone
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.types import Backbone, Dataset, FloatArray, IntArray, Matrix

SHARPNESS = 100.0  # CLIP's own temperature, inverted


class Namer(Protocol):
    """A model, and the words that it knows.

    Attributes:
        kind: what it is called in a sentence.
        vocabulary: W words.
    """

    kind: str
    vocabulary: Vocabulary

    def scores(self, dataset: Dataset, rows: IntArray, callbacks: Callbacks) -> FloatArray:
        """Return (N, W) the logarithm of how likely each word is for each of some images."""
        ...


def namer_of(text: str, device: str = "cpu") -> Namer:
    """Return the model that a text names: `lite0`, or a folder with a CLIP model.

    Args:
        text: as given.
        device: where it computes.

    Raises:
        ConfigError: where it is neither, or the folder cannot be read.
        ResourceError: where the weights are not installed.
    """
    if is_backbone(text):
        return Classifier(backbone_of(text), sized="?" in text, device=device)
    return Clip(text, device)


class Classifier:
    """A classifier of ImageNet's classes: a group is as likely as its classes together.

    Args:
        backbone: the network.
        sized: whether its size was asked for; without, features of any size will do.
        device: where features are computed.
    """

    kind = "an ImageNet model"

    def __init__(self, backbone: Backbone, *, sized: bool = False, device: str = "cpu") -> None:
        from taskdiscovery.networks import lite0

        lite0.weights_file()  # what is missing is said before anything is measured
        self.backbone, self.sized, self.device = backbone, sized, device
        self.vocabulary = imagenet()

    def scores(self, dataset: Dataset, rows: IntArray, callbacks: Callbacks) -> FloatArray:
        """Return (N, W) log-probabilities; features that the data set has are used."""
        log_NC = class_scores(self.features(dataset, rows, callbacks), self.backbone)
        # Sums of a hundred shares of 1: small ones lose nothing that an order needs.
        shares_NW = np.exp(log_NC) @ self.vocabulary.covers_WC.T.astype(np.float64)
        return np.asarray(np.log(np.maximum(shares_NW, np.finfo(np.float64).tiny)))

    def features(self, dataset: Dataset, rows: IntArray, callbacks: Callbacks) -> Matrix:
        """Return (N, P) features of some images: those of the data set where it has them."""
        own = _features_at_hand(dataset, self.backbone, self.sized)
        if own is not None:
            return own[rows]
        dataset.require_images("a network that names")
        images = dataset.images
        if len(rows) == len(dataset):  # as `embed` does: what it has kept is used
            whole = embed_images(images, self.backbone, device=self.device, callbacks=callbacks)
            return whole[rows]
        return embed_images(images[rows], self.backbone, device=self.device, callbacks=callbacks)


def class_scores(features_NP: Matrix, backbone: Backbone) -> FloatArray:
    """Return (N, C) log-probabilities of ImageNet's classes, from features of a backbone."""
    import torch

    from taskdiscovery.networks import lite0
    from taskdiscovery.runtime.isolation import usual_torch

    with usual_torch(), torch.no_grad():
        logits = lite0.load(backbone.sha256).classes(torch.as_tensor(np.array(features_NP)).float())
        result: FloatArray = torch.log_softmax(logits.double(), dim=1).numpy()
    assert result.shape[1] == CLASSES
    return result


def _features_at_hand(dataset: Dataset, backbone: Backbone, sized: bool) -> Matrix | None:
    """Return the features of a data set where they are of this backbone, or None."""
    own = dataset.backbone
    if own is None or own.sha256 != backbone.sha256 or (sized and own.size != backbone.size):
        return None
    return dataset.features


class Clip:
    """A CLIP model: how much likelier a word is than ImageNet's classes together.

    Args:
        path: its folder, as `TextModel` takes it.
        device: where it computes.
    """

    kind = "a CLIP model"

    def __init__(self, path: str, device: str = "cpu") -> None:
        from taskdiscovery.analysis.text import TextModel

        self.model = TextModel(Path(path), "--names", device=device)
        self.vocabulary = imagenet()

    def scores(self, dataset: Dataset, rows: IntArray, callbacks: Callbacks) -> FloatArray:
        """Return (N, W) log-odds of each word."""
        with callbacks.stage("comparing images with words", 1) as meter:
            texts_WP = self.model.texts(self.vocabulary.words, "a photo of a {}")
            images_NP = self.model.images(dataset.images[rows])
            meter.advance()
        fit_NW: FloatArray = SHARPNESS * (images_NP @ texts_WP.T).double().numpy()
        return fit_NW - np.logaddexp.reduce(fit_NW[:, :CLASSES], axis=1, keepdims=True)
