"""What helps against a split: robust learners, augmentation, frozen features.

For each core target the worst of `resist`'s eight tasks, which was chosen on other images. Three
training sets of equal size:

- `pure`: the train side alone, as it is (its own class rates). No image conflicts with the task, so
  what needs such images cannot be tried.
- `mixed`: the same images, but a share of them (5 %) replaced by images of the test side, the same
  ones for all learners. Group DRO needs them.
- `random`: as many images of each class, from both sides.

Last layers are fitted anew to a small set that is drawn with equally many images of each class and
side, and that nothing else is trained on or measured by. On `pure` its groups are the classes: no
training image conflicts, so the package has no conflicting group to number. Settings of group DRO
and JTT on `mixed` are chosen on that set by its worst group, by a training of its own, once a
target; JTT on `pure` has its published ones. Ridge on frozen features is fitted to few images, and
has a random split of its own size beside it.

Axes: N images, m measured images, S seeds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import taskdiscovery as td
from experiments import figures_splits, judging, paired
from experiments.laboratory import Laboratory
from experiments.markdown import paragraphs, table
from experiments.records import Row
from experiments.resisting import Case, Sizes, Stand, accuracy, drawn, even, seeds_of, stand
from experiments.studies import resist
from experiments.study import Claim, Study, Verdict
from taskdiscovery.errors import NumericalError
from taskdiscovery.networks.images import to_tensor
from taskdiscovery.networks.placing import hold
from taskdiscovery.networks.prediction import predict
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.training import Hooks, Watch
from taskdiscovery.training.convex import Fit, fitted_outputs
from taskdiscovery.training.robust import Held, Problem, Settings, choose, learner_named
from taskdiscovery.types import BoolArray, FloatArray, IntArray, Labeling, Record

_LOG = logging.getLogger("taskdiscovery")

SEEDS = (0, 1, 2)
SIZES = Sizes()
BACKBONE, RIDGE = "lite0", "ridge"
AUGMENTED = "crop, flip, grey"
#: learners on each training set.
TRIED: dict[str, tuple[str, ...]] = {
    "pure": ("erm", "class reweighting", "jtt", AUGMENTED, "last layer", RIDGE),
    "mixed": ("erm", "jtt", "group dro", "last layer"),
    "random": ("erm", AUGMENTED, RIDGE),
}
#: of the learners that are no ERM, those with settings to choose.
TUNED = ("group dro", "jtt")
SMALL, LARGE, HALF = 0.05, 0.1, 0.5
CLAIMS = (
    Claim(
        text="On the pure split neither class reweighting, nor JTT, nor crops with flips and grey "
        f"raise accuracy on the test side by {SMALL} or more, in the mean of the targets"
    ),
    Claim(
        text="Last-layer retraining on 500 images without the shortcut raises it on the pure split "
        f"by at least {LARGE}, and stays at least {LARGE} below ERM on a random split"
    ),
    Claim(
        text="With 5 % of conflicting images in train neither group DRO, nor JTT, nor last-layer "
        f"retraining makes up {HALF:.0%} of what ERM on the same images lacks to a random split"
    ),
    Claim(
        text="Ridge on frozen features loses to its own random split at most "
        f"{HALF:.0%} of what the network on pixels loses to its own"
    ),
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Target:
    """A target, the task that cuts it, and which images serve what.

    Attributes:
        spec: of the target.
        target, task: labelings.
        seen_N: images that discovery may have seen: nothing else is trained on.
    """

    spec: str
    target: Labeling
    task: Labeling
    seen_N: BoolArray

    @cached_property
    def aligned_N(self) -> BoolArray:
        """(N,) True on the train side."""
        return self.target.labels_N == self.task.labels_N

    @cached_property
    def group_N(self) -> IntArray:
        """(N,) number of class × side: classes of the train side first."""
        return self.target.labels_N + 2 * ~self.aligned_N

    @cached_property
    def held(self) -> IntArray:
        """Images without the shortcut, equally many of each class and side."""
        each = SIZES.held // 4
        parts = [
            drawn(self.seen_N & side_N, self.target, [each] * 2, "remedies held", self.spec, side)
            for side, side_N in (("aligned", self.aligned_N), ("conflict", ~self.aligned_N))
        ]
        return np.sort(np.concatenate(parts))

    @cached_property
    def free_N(self) -> BoolArray:
        """(N,) True for images that may be trained on."""
        free_N = self.seen_N.copy()
        free_N[self.held] = False
        return free_N

    @cached_property
    def tests(self) -> dict[str, IntArray]:
        """Images of either side that are reported on, of each class equally many."""
        return {
            "conflict": self._unseen(~self.aligned_N),
            "aligned": self._unseen(self.aligned_N),
        }

    def _unseen(self, side_N: BoolArray) -> IntArray:
        mask_N = side_N & ~self.seen_N
        return even(mask_N, self.target, len(mask_N), "remedies test", self.spec)

    @cached_property
    def measured(self) -> IntArray:
        """All images that are reported on."""
        return np.sort(np.concatenate(list(self.tests.values())))

    def pure(self, seed: int) -> IntArray:
        """Draw images of the train side as they come."""
        rng = generator(0, "remedies pure", self.spec, seed)
        side = np.flatnonzero(self.free_N & self.aligned_N)
        return np.sort(rng.permutation(side)[: SIZES.fit])

    def fit(self, kind: str, seed: int) -> IntArray:
        """Return the training images of a seed: `pure`, `mixed` or `random`."""
        pure, job = self.pure(seed), ("remedies", kind, self.spec, seed)
        if kind == "pure":
            return pure
        if kind == "random":
            counts = np.bincount(self.target.labels_N[pure], minlength=2).tolist()
            return drawn(self.free_N, self.target, counts, *job)
        few = round(SIZES.conflicting * len(pure))
        others = even(self.free_N & ~self.aligned_N, self.target, few, *job)
        kept = generator(0, *job).permutation(pure)[len(others) :]
        return np.sort(np.concatenate([kept, others]))

    def case(self, kind: str, name: str, seed: int | str) -> Case:
        """Return the training of a learner; learners of a seed share weights and order."""
        number = seed if isinstance(seed, int) else SEEDS[0]
        return Case(
            key=f"{self.spec} {kind} {name} {seed}",
            target=self.target,
            fit=self.fit(kind, number),
            measured=self.measured,
            seeds=seeds_of(number, "remedies", self.spec, *([] if seed == number else [seed])),
        )

    def figures(self, predicted_m: IntArray) -> dict[str, float]:
        """Return accuracy on either side."""
        return {
            side: accuracy(predicted_m, self.measured, rows, self.target)
            for side, rows in self.tests.items()
        }


def run(lab: Laboratory, learner: str) -> Row:
    """Try every learner on the worst split of every target."""
    cells, _ = resist.cells_of(lab, learner)
    with stand(lab, learner, "resist", resist.SIZES.fit, cells.seen_N) as own:
        chosen = {row["target"]: row["worst"] for row in resist.measured(own, cells)}
    tasks = {task.name: task for task in cells.tasks}
    targets = [
        Target(spec=spec, target=cells.targets[spec], task=tasks[chosen[spec]], seen_N=cells.seen_N)
        for spec in cells.targets
    ]
    began = time.perf_counter()
    frozen = _Frozen.of(lab, cells.seen_N)
    with stand(lab, learner, "remedies", SIZES.fit, cells.seen_N) as own:
        rows = [_tried(own, target, learner, frozen) for target in targets]
        precision = own.config.precision
    return {
        "learner": learner,
        "preset": "quick",
        "precision": precision,
        "seeds": list(SEEDS),
        "train_images": SIZES.fit,
        "held_images": SIZES.held,
        "conflicting": SIZES.conflicting,
        "features": frozen.said,
        "seconds": round(time.perf_counter() - began, 1),
        "rows": rows,
    }


def _tried(own: Stand, target: Target, learner: str, frozen: _Frozen) -> Row:
    """Return what every learner reaches on a target's split."""
    hold(own.bench.images, np.concatenate([np.flatnonzero(target.seen_N), target.measured]))
    found: dict[str, Row] = {}
    for kind, names in TRIED.items():
        for name in names:
            if name == RIDGE:
                values, more = frozen.figures(target, kind), Row()
            else:
                values, more = _trained(own, target, kind, name)
            if values:
                sides = {side: [v[side] for v in values] for side in ("conflict", "aligned")}
                found[f"{kind}: {name}"] = {**sides, **more}
    counts = np.bincount(target.target.labels_N[target.pure(SEEDS[0])], minlength=2)
    return {
        "target": target.spec,
        "task": target.task.name,
        "class_share": round(float(counts[1] / counts.sum()), 4),
        "test_images": len(target.tests["conflict"]),
        "remedies": found,
    }


def _trained(
    own: Stand, target: Target, kind: str, name: str
) -> tuple[list[dict[str, float]], Row]:
    """Return the figures of each seed, and the settings that were chosen."""
    if name in ("erm", AUGMENTED):
        plain = own.config.learner
        more = f"{'&' if '?' in plain else '?'}augment={AUGMENTED.replace(' ', '')}"
        cases = [target.case(kind, name, seed) for seed in SEEDS]
        answers = own.predictions(cases, "" if name == "erm" else plain + more)
        return [target.figures(answers[c.key]) for c in cases if c.key in answers], {}
    settings = Settings()
    if kind == "mixed" and name in TUNED:
        settings = _chosen(own, target, name)
    values = []
    for seed in SEEDS:
        predicted_m = _robust(own, target, kind, name, (seed, settings))
        if predicted_m is not None:
            values.append(target.figures(predicted_m))
    told = {key: getattr(settings, key) for key in ("rate", "first", "up")}
    return values, {"settings": told} if name in TUNED else {}


def _problem(own: Stand, target: Target, kind: str, case: Case) -> Problem:
    """Return the training with groups: class × side where the training has all of them."""
    groups_N = target.group_N if kind == "mixed" else target.target.labels_N
    return Problem(
        training=own.training(case),
        groups=groups_N[case.fit],
        held=Held(
            rows=target.held,
            targets=target.target.labels_N[target.held],
            groups=groups_N[target.held],
        ),
    )


def _chosen(own: Stand, target: Target, name: str) -> Settings:
    """Choose a learner's settings by the worst group of the held images."""
    case = target.case("mixed", name, "settings")
    problem = _problem(own, target, "mixed", case)

    def do(key: str, work: Callable[[Watch], Record]) -> Record:
        return own.bench.journal.do(f"{case.key} {key}", work)

    return choose(name, problem, own.bench.images, Hooks(), do).settings


def _robust(
    own: Stand, target: Target, kind: str, name: str, how: tuple[int, Settings]
) -> IntArray | None:
    """Return (m,) classes that a robust learner predicts; None where it diverges."""
    seed, settings = how
    case = target.case(kind, name, seed)

    def work(watch: Watch) -> Record:
        problem = replace(_problem(own, target, kind, case), settings=settings)
        try:
            model = learner_named(name)(problem, own.bench.images, Hooks(watch=watch))
        except NumericalError as error:
            _LOG.warning("%s: %s", case.key, error.what)
            return Record(values={"failed": error.what})
        precision = problem.training.learner.precision
        outputs = predict(model, own.bench.images, case.measured, precision)
        return Record(arrays={"predicted": outputs.argmax(dim=1).numpy()})

    found = own.bench.journal.do(case.key, work)
    return None if "failed" in found.values else found.arrays["predicted"].astype(np.int64)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Frozen:
    """Features of a frozen network, for some images; none where it is not installed.

    Attributes:
        rows: images that it looked at, in rising order.
        features: (rows, P), or None.
        said: what to tell of it.
    """

    rows: IntArray
    features: FloatArray | None
    said: Row

    @classmethod
    def of(cls, lab: Laboratory, seen_N: BoolArray) -> _Frozen:
        """Embed images, three of four of which may be trained on; they are kept."""
        rng, most = generator(0, "remedies features"), SIZES.features
        parts = [
            rng.permutation(np.flatnonzero(part_N))[:count]
            for part_N, count in ((seen_N, most - most // 4), (~seen_N, most // 4))
        ]
        rows = np.sort(np.concatenate(parts))
        place = lab.work / f"features {BACKBONE} {lab.dataset.fingerprint[:12]} {len(rows)}.npy"
        said: Row = {"backbone": BACKBONE, "images": len(rows)}
        if not place.exists():
            images = np.ascontiguousarray(lab.dataset.images[rows])
            try:
                data = td.embed(images, backbone=BACKBONE, **lab.hardware, callbacks=())
            except td.TaskDiscoveryError as error:
                return cls(rows=rows, features=None, said={**said, "why": error.what})
            assert data.features is not None
            np.save(place, np.asarray(data.features, dtype=np.float32))
        return cls(rows=rows, features=np.load(place), said=said)

    def figures(self, target: Target, kind: str) -> list[dict[str, float]]:
        """Return the figures of ridge on each seed's images; none where there are no features."""
        if self.features is None:
            return []
        table_N = to_tensor(self.features[:, None, None, :], "cpu")
        return [self._of_seed(target, kind, seed, table_N) for seed in SEEDS]

    def _of_seed(self, target: Target, kind: str, seed: int, table_N: Any) -> dict[str, float]:
        """Fit to half of the images that the features are of, and that the training set may have.

        A side has about half of them, so that both sets have a quarter: equally many.
        """
        here_N = np.zeros(len(target.seen_N), dtype=np.bool_)
        here_N[self.rows] = True
        job, most = ("remedies ridge", target.spec, seed), len(self.rows) // 4
        pure = even(here_N & target.free_N & target.aligned_N, target.target, most, *job)
        counts = np.bincount(target.target.labels_N[pure], minlength=2).tolist()
        everywhere = drawn(here_N & target.free_N, target.target, counts, *job, "random")
        fit = pure if kind == "pure" else everywhere
        asked = np.flatnonzero(here_N & ~target.seen_N)
        places = np.searchsorted(self.rows, fit)
        given = Fit(places, target.target.labels_N[fit], 2)
        outputs = fitted_outputs(RIDGE, table_N, given, np.searchsorted(self.rows, asked), "cpu")
        predicted_m = outputs.argmax(dim=1).numpy()
        return {
            side: accuracy(predicted_m, asked, rows[here_N[rows]], target.target)
            for side, rows in target.tests.items()
        }


def by_target(result: Row, name: str, side: str = "conflict") -> list[float] | None:
    """Return accuracies of a learner by target, in the mean of seeds; None where it has none.

    Of random splits both sides count alike.
    """
    rows = [row["remedies"].get(name) for row in result["rows"]]
    if any(row is None for row in rows):
        return None
    sides = ("conflict", "aligned") if name.startswith("random") else (side,)
    return [float(np.mean([np.mean(row[own]) for own in sides])) for row in rows]


def reference(name: str) -> str:
    """Return what a learner is compared with: ERM on the same training set."""
    return f"{name.split(': ')[0]}: erm"


def baseline(name: str) -> str:
    """Return the random split that is a learner's own: of its kind where there is one."""
    own = name.split(": ")[1]
    return f"random: {own if own in TRIED['random'] else 'erm'}"


def share(result: Row, name: str) -> float | None:
    """Return what part a learner makes up of that which ERM lacks to a random split."""
    own, erm = by_target(result, name), by_target(result, reference(name))
    usual = by_target(result, "random: erm")
    if own is None or erm is None or usual is None:
        return None
    return (float(np.mean(own)) - float(np.mean(erm))) / (
        float(np.mean(usual)) - float(np.mean(erm))
    )


def tell(results: list[Row], place: Path) -> str:
    """Write what each learner reaches, against ERM on the same images."""
    figures_splits.remedies(results, place / "remedies.svg")
    first = results[0]
    parts = [
        "## What helps against a split that resists",
        f"Each target's worst split of the table above, {first['train_images']:,} training images, "
        "mean of the targets and three seeds; differences to ERM on the same images with 95 % "
        "intervals over targets. **pure**: the train side alone; it has no image that conflicts "
        "with the task, so group DRO with the true groups cannot be tried on it. **mixed**: "
        f"{first['conflicting']:.0%} of the training images replaced by such ones, the same for "
        f"all learners. Last layers are fitted to {first['held_images']} more images, equally many "
        "of each class and side (on pure told their classes alone); on mixed, settings of group "
        "DRO and JTT are chosen on these. Classes are nearly equally large there, so that class "
        "reweighting has nothing to weigh. `test side`: unseen images that conflict with the task; "
        "`train side`: unseen ones that do not. `made up`: part of what ERM on the same images "
        "lacks to ERM on a random split.",
    ]
    for result in results:
        parts += [_table(result), _best(result), _ridge(result)]
    parts.append("![accuracy on the test side](figures/remedies.svg)")
    return paragraphs(parts)


def _table(result: Row) -> str:
    lines = []
    for name in result["rows"][0]["remedies"]:
        own, inside = by_target(result, name), by_target(result, name, "aligned")
        assert own is not None
        assert inside is not None
        kind, learner = name.split(": ")
        cells = ["–", "–"]
        erm = by_target(result, reference(name))
        if learner not in ("erm", RIDGE) and kind != "random" and erm is not None:
            part = share(result, name)
            cells = [paired.told(paired.difference(own, erm)), f"{part:.0%}"]
        aligned = "both sides" if kind == "random" else f"{np.mean(inside):.3f}"
        shown = "ridge on frozen features" if learner == RIDGE else learner
        lines.append([kind, shown, f"{np.mean(own):.3f}", *cells, aligned])
    head = [f"`{result['learner']}`", "learner", "test side", "against ERM", "made up"]
    return table([*head, "train side"], lines)


def _best(result: Row) -> str:
    """Say what helps most on either training set, what is left, and what the few images give."""
    usual, told = by_target(result, "random: erm"), []
    for kind in ("pure", "mixed"):
        own = {
            name: values
            for name in (f"{kind}: {learner}" for learner in TRIED[kind] if learner != RIDGE)
            if (values := by_target(result, name)) is not None
        }
        if not own or usual is None:
            continue
        best = max(own, key=lambda name: float(np.mean(own[name])))
        left = paired.difference(usual, own[best])
        told.append(
            f"on {kind} the best is {best.split(': ')[1]} with {np.mean(own[best]):.3f}, and ERM "
            f"on a random split is ahead of it by {paired.told(left)}"
        )
    mixed, pure = by_target(result, "mixed: erm"), by_target(result, "pure: erm")
    if mixed is not None and pure is not None:
        told.append(
            f"{result['conflicting']:.0%} of conflicting images alone give ERM "
            f"{paired.told(paired.difference(mixed, pure))}"
        )
    return f"`{result['learner']}`: {'; '.join(told)}."


def lost(result: Row, learner: str) -> Row | None:
    """Return what a learner loses on the test side of the pure split to its own random split."""
    own, usual = by_target(result, f"pure: {learner}"), by_target(result, f"random: {learner}")
    return None if own is None or usual is None else paired.difference(usual, own)


def _ridge(result: Row) -> str:
    """Say what learners lose that have a random split of their own."""
    told = [
        f"{learner} {paired.told(row)}"
        for learner in TRIED["random"]
        if (row := lost(result, learner)) is not None
    ]
    why = result["features"].get("why")
    text = f"Lost to a random split with the same learner: {'; '.join(told)}."
    if why:
        return f"{text} No frozen features: {why}."
    return (
        f"{text} Ridge sees features of `{result['features']['backbone']}`, of a fifth as many "
        "images at most."
    )


def judge(results: list[Row]) -> list[Verdict]:
    """Say what became of the claims, learner by learner; where nothing was measured, that."""
    verdicts = []
    for check in (_little, _last_layer, _mixed, _frozen):
        found = [(result["learner"], *check(result)) for result in results]
        known = [(held, f"`{name}` {text}") for name, held, text in found if held is not None]
        missing = "; ".join(f"`{name}` {text}" for name, held, text in found if held is None)
        verdicts.append(judging.verdict(known) if known else Verdict(word="differs", ours=missing))
    return verdicts


def _gains(result: Row, names: tuple[str, ...]) -> dict[str, Row]:
    found = {}
    for name in names:
        own, erm = by_target(result, name), by_target(result, reference(name))
        if own is not None and erm is not None:
            found[name] = paired.difference(own, erm)
    return found


def _little(result: Row) -> tuple[bool | None, str]:
    gains = _gains(result, tuple(f"pure: {n}" for n in ("class reweighting", "jtt", AUGMENTED)))
    told = ", ".join(f"{name.split(': ')[1]} {paired.told(row)}" for name, row in gains.items())
    return all(row["mean"] < SMALL for row in gains.values()), told


def _last_layer(result: Row) -> tuple[bool | None, str]:
    name = "pure: last layer"
    own, usual = by_target(result, name), by_target(result, "random: erm")
    gain = _gains(result, (name,)).get(name)
    if gain is None or own is None or usual is None:
        return None, "not measured"
    lacks = float(np.mean(usual) - np.mean(own))
    held = gain["mean"] >= LARGE and lacks >= LARGE
    return held, f"{paired.told(gain)}, {lacks:.3f} below the random split"


def _mixed(result: Row) -> tuple[bool | None, str]:
    parts = {n: share(result, f"mixed: {n}") for n in ("group dro", "jtt", "last layer")}
    known = {name: part for name, part in parts.items() if part is not None}
    told = ", ".join(f"{name} {part:.0%}" for name, part in known.items())
    return (all(part < HALF for part in known.values()) if known else None), told


def _frozen(result: Row) -> tuple[bool | None, str]:
    ridge, network = lost(result, RIDGE), lost(result, "erm")
    if ridge is None or network is None:
        return None, "no features"
    text = f"ridge {paired.told(ridge)}, the network {paired.told(network)}"
    return ridge["mean"] <= HALF * network["mean"], text


STUDY = Study(
    run=run,
    tell=tell,
    minutes=30,
    learners=("mlp", "convnet"),
    about="what helps against splits that resist",
    claims=CLAIMS,
    judge=judge,
)
