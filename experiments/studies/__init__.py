"""The experiments, a file each, in the order of the page."""

from experiments.studies import (
    accuracy,
    architectures,
    beyond,
    features,
    featuresplits,
    methods,
    noise,
    paper,
    photographs,
    separates,
    sizes,
    splits,
    tiny,
    variants,
)
from experiments.study import Study

STUDIES: dict[str, Study] = {
    "separates": separates.STUDY,
    "methods": methods.STUDY,
    "paper": paper.STUDY,
    "architectures": architectures.STUDY,
    "splits": splits.STUDY,
    "sizes": sizes.STUDY,
    "beyond": beyond.STUDY,
    "features": features.STUDY,
    "featuresplits": featuresplits.STUDY,
    "accuracy": accuracy.STUDY,
    "photographs": photographs.STUDY,
    "noise": noise.STUDY,
    "variants": variants.STUDY,
    "tiny": tiny.STUDY,
}
