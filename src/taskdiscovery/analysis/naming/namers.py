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


def namer_of(text: str) -> Namer:
    """Return the model that a text names: `lite0`, or a folder with a CLIP model.

    Raises:
        ConfigError: where it is neither, or the folder cannot be read.
        ResourceError: where the weights are not installed.
    """
    return Classifier(backbone_of(text), sized="?" in text) if is_backbone(text) else Clip(text)


class Classifier:
    """A classifier of ImageNet's classes: a group is as likely as its classes together.

    Args:
        backbone: the network.
        sized: whether its size was asked for; without, features of any size will do.
    """

    kind = "an ImageNet model"

    def __init__(self, backbone: Backbone, *, sized: bool = False) -> None:
        from taskdiscovery.networks import lite0

        lite0.weights_file()  # what is missing is said before anything is measured
        self.backbone, self.sized, self.vocabulary = backbone, sized, imagenet()

    def scores(self, dataset: Dataset, rows: IntArray, callbacks: Callbacks) -> FloatArray:
        """Return (N, W) log-probabilities; features that the data set has are used."""
        features = features_for(dataset, rows, self.backbone, self.sized, callbacks)
        log_NC = class_scores(features, self.backbone)
        # Sums of a hundred shares of 1: small ones lose nothing that an order needs.
        shares_NW = np.exp(log_NC) @ self.vocabulary.covers_WC.T.astype(np.float64)
        return np.asarray(np.log(np.maximum(shares_NW, np.finfo(np.float64).tiny)))


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


def features_for(
    dataset: Dataset, rows: IntArray, backbone: Backbone, sized: bool, callbacks: Callbacks
) -> Matrix:
    """Return (N, P) features of some images: those of the data set where it has them, else new."""
    own, table = dataset.backbone, dataset.features
    same = own is not None and own.sha256 == backbone.sha256
    if table is not None and own is not None and same and (not sized or own.size == backbone.size):
        return table[rows]
    dataset.require_images("a network that names")
    if len(rows) == len(dataset):  # as `embed` does: what it has kept is used
        return embed_images(dataset.images, backbone, callbacks=callbacks)[rows]
    return embed_images(dataset.images[rows], backbone, callbacks=callbacks)


class Clip:
    """A CLIP model: how much likelier a word is than ImageNet's classes together.

    Args:
        path: its folder, as `TextModel` takes it.
    """

    kind = "a CLIP model"

    def __init__(self, path: str) -> None:
        from taskdiscovery.analysis.text import TextModel

        self.model, self.vocabulary = TextModel(Path(path), "--names"), imagenet()

    def scores(self, dataset: Dataset, rows: IntArray, callbacks: Callbacks) -> FloatArray:
        """Return (N, W) log-odds of each word."""
        with callbacks.stage("comparing images with words", 1) as meter:
            texts_WP = self.model.texts(self.vocabulary.words, "a photo of a {}")
            images_NP = self.model.images(dataset.images[rows])
            meter.advance()
        fit_NW: FloatArray = SHARPNESS * (images_NP @ texts_WP.T).double().numpy()
        return fit_NW - np.logaddexp.reduce(fit_NW[:, :CLASSES], axis=1, keepdims=True)
