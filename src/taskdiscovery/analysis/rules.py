"""Every threshold of a verdict, in one place; docs/evidence.md says what each was chosen by."""

from __future__ import annotations

#: of false discoveries, over all rows of all labelings together.
RATE = 0.05

#: effects (|2 AUC - 1|) whose interval must lie above, for "follows" and for "leans on".
FOLLOWS, LEANS = 0.5, 0.2
#: a named property goes before a statistic whose effect it reaches to this share.
ABOUT_AS_WELL = 0.85
#: a level is named, rather than the grouping of its factor, from this share of the latter's effect.
LEVEL_ALONE = 0.9
#: a grouping is one to one where the kappa of the best matching reaches this share of its effect.
ONE_TO_ONE = 0.85
#: the AUC by which values in bands must beat the order of the values, to be said instead.
BANDS_GAIN = 0.05
#: phi over its greatest value whose interval must lie above, for "class 1 holds 97 % of …".
HOLDS = 0.5
#: the same, for a level to be told among those of a grouping.
INSIDE = 0.2
#: by how much the share of a level on its side must exceed the share of all images there.
HOLDS_MORE = 0.1
#: images of a level below which nothing is said of it by name.
LEVEL_IMAGES = 10

#: the AUC of a joint model that predicts a task, and what its interval must lie above.
JOINT, JOINT_LOW = 0.6, 0.55
#: the AUC by which a joint model must beat the property that is named, to be said beside it.
JOINT_GAIN = 0.05

#: shares of images whose labels flip: the interval must lie below, or above.
SURVIVES, FLIPS = 0.1, 0.2
#: by how much a probe must flip more than noise of equal strength: the interval must lie above.
MORE_THAN_NOISE = 0.05
#: a probe tells nothing of single tasks where at least this share of three or more tasks flip at
#: the rate that labels by chance would give, give or take this share of it.
EVERY_TASK, NEAR_CHANCE = 0.75, 0.2

#: groups below which a warning is given: their intervals are rough.
FEW_GROUPS = 20
