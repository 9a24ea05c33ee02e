"""Whether a group in a class is at risk: what a learner says of it that has seen its like, or not.

Both figures stand beside those of groups that mean nothing. The thresholds were frozen on half of
BAR's training images and CIFAR-10's first 3,000; docs/audit.md says what they give elsewhere.

Axes: n images of a class, m of a group.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from taskdiscovery.agreement import mean_over_runs
from taskdiscovery.auditing.groups import Class
from taskdiscovery.auditing.leaving import Leaving
from taskdiscovery.types import BoolArray, Document, FloatArray, IntArray, Interval

#: groups by chance, and arbitrary cuts, that a group is held against; what is left out of either
#: end of them.
_BY_CHANCE, _ARBITRARY, _TAIL = 200, 40, 0.025
#: by how much a group must lie below them, on top of the intervals.
HARD, CONTEXT = 0.1, 0.2
#: by how much more often the learner must say a class of its own images than of others, for
#: anything to be said of its groups.
LEARNT = 0.2


@dataclass(frozen=True, eq=False, kw_only=True)
class Asked:
    """A class, whose groups a learner is asked about.

    Attributes:
        learner: of all classes.
        own_n: (n,) the images of the class among those of the learner.
        found: the class, in the same order.
        names: of all classes.
    """

    learner: Leaving
    own_n: IntArray
    found: Class
    names: tuple[str, ...]

    @property
    def c(self) -> int:
        """The class."""
        return int(self.learner.labels_N[self.own_n[0]])

    @cached_property
    def learnt(self) -> bool:
        """Whether the learner tells the class at all."""
        learner, c = self.learner, self.c
        own_N, said_N = learner.labels_N == c, learner.said_N == c
        return bool(said_N[own_N].mean() - said_N[~own_N].mean() >= LEARNT)

    def figures(self, far_n: FloatArray) -> Document:
        """Return what is known of a group.

        Args:
            far_n: (n,) above 0 for its images.

        Returns:
            The columns of `groups_within` from `images` to `why`.
        """
        member, right_n = np.flatnonzero(far_n > 0), self.learner.right_N[self.own_n]
        own = self._mean(right_n, member)
        chance = [right_n[q].mean() for q in self.found.by_chance(len(member), _BY_CHANCE)]
        control_low, control_high = np.quantile(chance, [_TAIL, 1 - _TAIL])
        hard = own.high < right_n.mean() and own.mean <= min(
            control_low, float(np.mean(chance)) - HARD
        )
        left = self._left_out(member, own.mean)
        why = ["hard"] * bool(hard) + ["context"] * bool(left.pop("context"))
        at_risk = bool(why) and self.learnt
        return {
            "images": len(member),
            **dict(zip(("accuracy", "low", "high"), _ends(own), strict=True)),
            "control": float(np.mean(chance)),
            "control_low": float(control_low),
            "control_high": float(control_high),
            **left,
            "at_risk": at_risk,
            "why": " and ".join(why) if self.learnt else "not learnt",
        }

    def _left_out(self, member: IntArray, accuracy: float) -> Document:
        """Return what is said of a group that nothing was learnt from."""
        learner, own_n, c = self.learner, self.own_n, self.c
        said_m = learner.without(own_n[member])
        drops = [] if said_m is None else self._drops(len(member))
        names = ("left_out", "left_out_low", "left_out_high")
        if said_m is None or not drops:
            nothing = dict.fromkeys((*names, "left_out_control", "left_out_control_low"))
            return {**nothing, "taken_for": "", "context": False}
        right_n = np.zeros(len(own_n), dtype=np.bool_)
        right_n[member] = said_m == c
        own = self._mean(right_n, member)
        # What an arbitrary cut loses by being left out, taken off what this group had.
        losses = float(np.mean(drops)), float(np.quantile(drops, 1 - 2 * _TAIL))
        control, worst = (max(0.0, accuracy - lost) for lost in losses)
        wrong = np.bincount(said_m[said_m != c], minlength=1)
        return {
            **dict(zip(names, _ends(own), strict=True)),
            "left_out_control": control,
            "left_out_control_low": worst,
            "taken_for": self.names[int(wrong.argmax())] if wrong.any() else "",
            "context": own.high < worst and control - own.mean >= CONTEXT,
        }

    def _drops(self, size: int) -> list[float]:
        """Return how much accuracy arbitrary cuts of that size lose by being left out."""
        learner, own_n, groups_N = self.learner, self.own_n, self.learner.groups_N
        found = []
        for z_n in self.found.arbitrary(_ARBITRARY).T:
            if groups_N is not None:  # what belongs together is left out together
                codes_n = np.unique(groups_N[own_n], return_inverse=True)[1]
                z_n = (np.bincount(codes_n, weights=z_n) / np.bincount(codes_n))[codes_n]
            cut = own_n[np.argsort(z_n, kind="stable")[:size]]
            said = learner.without(cut)
            if said is not None:
                found.append(float(learner.right_N[cut].mean() - (said == self.c).mean()))
        return found

    def _mean(self, right_n: BoolArray, member: IntArray) -> Interval:
        """Return the mean over a group, in whose interval what belongs together is one draw."""
        groups_N, codes_m = self.learner.groups_N, None
        if groups_N is not None:
            codes_m = np.unique(groups_N[self.own_n[member]], return_inverse=True)[1]
        return mean_over_runs(right_n[member][None], codes_m)


def _ends(interval: Interval) -> tuple[float, float, float]:
    return interval.mean, interval.low, interval.high
