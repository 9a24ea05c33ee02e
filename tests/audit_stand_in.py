"""An engine of audits that needs no seconds: one cue that is there, one that is not."""

import numpy as np

from taskdiscovery.types import Audit, Cue, Interval, Record
from taskdiscovery.types.audit import FAIL, NONE, PASS, WARN

#: verdicts and sentences by how often the mark goes with the label.
MARK = "corner lower right"


def interval(mean, half=0.03):
    return Interval(mean=mean, low=mean - half, high=mean + half, covers="images")


def marked(dataset):
    """Say which images have something yellow in the lower right corner."""
    corner = dataset.images[:, -6:, -6:].astype(int)
    return np.asarray((corner[..., 0] - corner[..., 2] > 150).mean(axis=(1, 2)) > 0.2)


def cues_of(dataset, target, config):
    """Return the mark, present where it tells the class, and a colour that never is."""
    known, has_N = target.known_N, marked(dataset)
    told_N = has_N == (target.labels_N == 1)
    aligned, conflict = (np.flatnonzero(known & x) for x in (told_N, ~told_N))
    share = len(aligned) / max(1, known.sum())
    own = {"target": target.name, "class_name": target.classes[1]}
    present = Cue(
        view=MARK,
        kind="artefact",
        words="something in the lower right corner",
        classes=target.classes[:2],
        present=bool(share > 0.8),
        reasons=("unique", "control", "modes"),
        strength=9.1,
        unique=interval(0.412),
        unique_z=21.4,
        control_z=18.2,
        mode_gain=0.31,
        mode_distance=6.2,
        mode_difference=0.9,
        ratio=1.02,
        skill=0.8,
        accuracy=float(share),
        follows=interval(0.63),
        aligned=interval(0.96, 0.01),
        conflict=interval(0.31, 0.06),
        used=True,
        aligned_rows=aligned[::-1],
        conflict_rows=conflict,
        box=((0.75, 0.75, 1.0, 1.0),),
        allowed=MARK in config.allow,
        remedy="crop the corner away, or paint it over in all images",
        **own,
    )
    absent = Cue(
        view="colour",
        kind="context",
        words="its colours",
        present=False,
        strength=0.1,
        unique=interval(0.002, 0.004),
        unique_z=0.9,
        ratio=0.4,
        skill=0.1,
        accuracy=0.55,
        **own,
    )
    return [present, absent]


def audit(dataset, targets, config, journal, callbacks):
    """As `auditing.auditing.audit`, with a piece of work for each target that can be stopped."""
    cues = []
    with callbacks.stage("looking", len(targets)) as meter:
        for i, target in enumerate(targets):
            journal.do(f"look {i}", _looked)
            cues += cues_of(dataset, target, config)
            meter.advance()
    cues.sort(key=lambda cue: not cue.present)
    verdicts = {}
    for target in targets:
        own = [c for c in cues if c.target == target.name and c.present and not c.allowed]
        verdicts[target.name] = FAIL if own else NONE if len(dataset) < 50 else PASS
    worst = next(v for v in (FAIL, WARN, NONE, PASS) if v in verdicts.values())
    sentence = {
        FAIL: f"networks tell {targets[0].name} by something in the lower right corner",
        PASS: "none of these 2 cues was found",
        NONE: "too few images",
    }
    return Audit(
        verdict=worst,
        sentence=sentence[worst],
        cues=tuple(cues),
        verdicts=verdicts,
        classes={
            one.name: {name: int((one.labels_N == c).sum()) for c, name in enumerate(one.classes)}
            for one in targets
        },
        looked_at=(MARK, "colour"),
        not_looked_at=("the files: the data came as pixels",),
        notes=("intervals are over images",),
        images=len(dataset),
        data=dataset.name,
        ids=dataset.ids,
        networks="3 runs of a stand-in",
    )


def _looked(watch):
    watch.boundary(Record)
    return Record(values={"seen": 1})


def install(monkeypatch):
    """Put this engine where the job looks for its own."""
    monkeypatch.setattr("taskdiscovery.auditing.auditing.audit", audit)
