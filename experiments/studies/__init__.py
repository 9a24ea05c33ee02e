"""The experiments, a file each, in the order of the page."""

from experiments.studies import (
    accuracy,
    architectures,
    better,
    beyond,
    count,
    coverage,
    features,
    featuresplits,
    methods,
    paper,
    photographs,
    published,
    separates,
    sizes,
    space,
    splits,
)
from experiments.study import Study

STUDIES: dict[str, Study] = {
    "separates": separates.STUDY,
    "methods": methods.STUDY,
    "better": better.STUDY,
    "paper": paper.STUDY,
    "architectures": architectures.STUDY,
    "splits": splits.STUDY,
    "sizes": sizes.STUDY,
    "beyond": beyond.STUDY,
    "features": features.STUDY,
    "featuresplits": featuresplits.STUDY,
    "accuracy": accuracy.STUDY,
    "photographs": photographs.STUDY,
    "published": published.STUDY,
    "count": count.STUDY,
    "coverage": coverage.STUDY,
    "space": space.STUDY,
}
