"""Which estimate is recommended: fixed in a table, so that nobody picks the one that pleases.

The table goes by what can be computed, and by nothing that is seen on the unlabelled images. It is
what the study of docs/estimate.md found to miss least under corruption, and less than the held-out
accuracy as it is.
"""

from __future__ import annotations

#: where made shifts are there, and where not.
SHIFTS, OTHERWISE = "made-shifts", "threshold-confidence"
#: of the images that are taken for a class, on which runs hardly disagree.
OF_CLASSES = "threshold-confidence"
_WHY = {
    SHIFTS: (
        "it missed least on corrupted images in a study, where held-out accuracy missed most; like "
        "all others it is blind to labels that part from a shortcut"
    ),
    OTHERWISE: (
        "without made shifts it missed least on corrupted images in a study; like all others it is "
        "blind to labels that part from a shortcut"
    ),
}


def recommended(*, shifts: bool) -> tuple[str, str]:
    """Return the estimator that is recommended, and why.

    Args:
        shifts: whether held-out images were corrupted to see what is missed under shift.
    """
    name = SHIFTS if shifts else OTHERWISE
    return name, _WHY[name]
