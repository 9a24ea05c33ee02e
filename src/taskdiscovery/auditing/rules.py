"""When a view is present, when it is used, and what the verdict is: the thresholds, frozen.

What they were chosen on, and what they miss on other data, stands in docs/audit.md.
"""

from __future__ import annotations

#: U: gain in nats an image over the rest, by view; the least of any other.
UNIQUE_LEAST = {
    **dict.fromkeys(("codec", "noise", "blur", "resolution"), 0.03),
    "frame": 0.04,
    "colour": 0.05,
}
UNIQUE_OTHER, UNIQUE_Z = 0.02, 4.0
#: Z: McNemar's, and the gain without which it says nothing.
CONTROL_Z, CONTROL_GAIN = 4.0, 0.01
#: the least of it for a corner, whatever speaks for it.
BEYOND_CONTROL_Z = 2.0
#: M: gain in log likelihood, distance of the heaps, difference of the classes' shares.
MODES_GAIN, MODES_DISTANCE, MODES_DIFFERENCE = 0.05, 2.5, 0.5
#: where the classes have one heap each, so far apart that content is no reason: their distance,
#: the difference of shares, and the skill of the view alone.
APART_DISTANCE, APART_DIFFERENCE, APART_SKILL = 6.0, 0.98, 0.95
#: R: of facts of files, and of what lies around the middle.
RATIO = {"file": 0.8, "background": 0.95}
#: the least skill of a view whose ratio counts, and its z.
RATIO_SKILL = 0.05
#: how alike the classes' difference and an operation must be (cosine), and how much JPEG's counts:
#: whatever redraws a picture removes traces of the codec that it had before.
LIKENESS, CODEC_WEIGHT = 0.6, 0.75
#: F, and the gap of accuracy between aligned and conflict images.
FOLLOWS, GAP = 0.15, 0.3
#: above this share of variance by position, pictures are laid out alike.
CONTROLLED = 0.25
#: fewer images, or fewer of a class: no verdict; fewer than the last: little power.
LEAST_IMAGES, LEAST_OF_CLASS, FEW_IMAGES = 300, 60, 1200
