"""The experiments, a file each, in the order of the page."""

from experiments.studies import (
    accuracy,
    architectures,
    beyond,
    features,
    featuresplits,
    lts,
    methods,
    paper,
    photographs,
    remedies,
    resist,
    separates,
    sizes,
    splits,
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
    "resist": resist.STUDY,
    "remedies": remedies.STUDY,
    "lts": lts.STUDY,
}
