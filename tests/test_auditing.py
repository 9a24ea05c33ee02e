"""The engine of the audit: views, readings, heaps, likeness, usage, verdicts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import taskdiscovery as td
from taskdiscovery.auditing import rules, verdict
from taskdiscovery.auditing.auditing import audit
from taskdiscovery.auditing.likeness import likeness
from taskdiscovery.auditing.modes import Modes, modes
from taskdiscovery.auditing.presence import Finding, _places_first, findings, heaped
from taskdiscovery.auditing.reading import STRENGTHS, Reader, calibrated, losses
from taskdiscovery.auditing.seen import CELLS, halved, layout, look
from taskdiscovery.auditing.sides import Sides, sides
from taskdiscovery.auditing.usage import Cause, Usage, _usage
from taskdiscovery.auditing.views import camera
from taskdiscovery.auditing.views.table import NAMES, VIEWS
from taskdiscovery.auditing.views.view import APART, CONTROL, MODES, RATIO, UNIQUE
from taskdiscovery.config import AuditConfig
from taskdiscovery.data.planting import plant
from taskdiscovery.errors import ConfigError, DataError
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store.journal import Journal
from taskdiscovery.types import Cue, Interval, Labeling, Record
from taskdiscovery.types.audit import ARTEFACT, CONTEXT, FAIL, FILE, NONE, PASS, WARN

BY_NAME = {view.name: view for view in VIEWS}


@pytest.fixture(scope="module")
def pictures():
    """Draw smooth random pictures of two kinds: the second is bluer on the whole."""
    rng = np.random.default_rng(5)
    count, side = 480, 24
    coarse = rng.normal(0, 1, (count, 6, 6, 3))
    images = np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2)
    for axis in (1, 2):
        images = (images + np.roll(images, 1, axis) + np.roll(images, -1, axis)) / 3
    labels = np.arange(count) % 2
    images = 128 + 45 * images + rng.normal(0, 2, images.shape)
    images[..., 2] += 20 * labels[:, None, None]
    pixels = np.clip(images, 0, 255).astype(np.uint8)
    assert pixels.shape[1] == side
    return td.from_arrays(pixels, labels, classes=("plain", "blue"), name="drawn")


@pytest.fixture(scope="module")
def seen(pictures):
    return look(pictures, 0)


# --- views ---


def test_names_are_distinct_and_those_that_allow_takes():
    assert len(set(NAMES)) == len(NAMES) == len(VIEWS)
    assert not set(NAMES) & {ARTEFACT, CONTEXT}


def test_every_test_has_words_on_the_page():
    from taskdiscovery.reporting.auditpage import _TESTS

    assert set(_TESTS) == {UNIQUE, CONTROL, MODES, APART, RATIO}


@pytest.mark.parametrize("view", VIEWS, ids=NAMES)
def test_a_view_keeps_its_contract(view, seen):
    """One file, one contract: columns, control, exchange, operations, words."""
    assert view.kind in (FILE, ARTEFACT, CONTEXT)
    assert view.words
    assert view.remedy
    assert not view.words.endswith(".")
    assert view.tests
    assert set(view.tests) <= {UNIQUE, CONTROL, MODES, APART, RATIO}
    assert RATIO not in view.tests or view.name in rules.RATIO
    for top, left, bottom, right in view.boxes:
        assert 0 <= top < bottom <= 1
        assert 0 <= left < right <= 1
    assert not view.place or view.boxes
    if view.kind == FILE:
        assert not seen.has_files
        return
    own, rest = set(view.own(seen)), set(view.rest(seen))
    assert own
    assert rest
    assert not own & rest, "what a view adds is not in the rest"
    assert max(own | rest) < seen.columns_NP.shape[1]
    if view.control is not None:
        assert not own & set(view.control(seen))
    images = seen.dataset.images[:6]
    if view.exchange is not None:
        np.testing.assert_array_equal(view.exchange(images, images), images)
        swapped = view.exchange(images, images[::-1])
        assert (swapped.shape, swapped.dtype) == (images.shape, np.uint8)
        assert 0 < (swapped != images).mean() < 0.7, "only what the view looks at is exchanged"
    assert not view.strengths or len(view.strengths) > len(view.likenesses)
    for operation in (*view.likenesses, *view.strengths):
        changed = operation(images, np.random.default_rng(0))
        assert (changed.shape, changed.dtype) == (images.shape, np.uint8)
        assert (changed != images).any()


def test_a_mark_is_exchanged_where_it_lies(pictures):
    images = np.full((2, 32, 32, 3), 100, np.uint8)
    images[0, 3:9, 20:26] = np.indices((6, 6)).sum(axis=0)[..., None] % 2 * 200
    swapped = BY_NAME["mark"].exchange(images, images[::-1])
    np.testing.assert_array_equal(swapped[1, 3:9, 20:26], images[0, 3:9, 20:26])
    assert (swapped[0] == 100).all()


def test_operations_take_other_channels():
    images = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 4), dtype=np.uint8)
    for view in camera.VIEWS:
        for operation in view.likenesses:
            assert operation(images, np.random.default_rng(0)).shape == images.shape


def test_columns_are_named_once(seen):
    every = np.concatenate(list(seen.blocks.values()))
    np.testing.assert_array_equal(np.sort(every), np.arange(seen.columns_NP.shape[1]))
    assert len(CELLS) == 16
    assert np.abs(seen.columns_NP).max() <= 6


def test_a_filter_does_not_know_how_bright_a_picture_is(pictures):
    some = pictures.images[:50]
    darker = td.from_arrays((some // 2 + 20).astype(np.uint8))
    brighter = td.from_arrays((some // 2 + 60).astype(np.uint8))
    from taskdiscovery.auditing import maps

    filters = maps._filters(darker.images, 0)
    one, other = (maps._maps(maps._tensor(d.images), filters) for d in (darker, brighter))
    names = filters.names
    kept = [i for i, name in enumerate(names) if name.startswith("grey")]
    np.testing.assert_allclose(one[:, kept], other[:, kept], atol=1e-3)
    lit = [i for i, name in enumerate(names) if name.startswith("light")]
    assert (one[:, lit] - other[:, lit]).abs().mean() > 0.05


def test_layout_is_what_position_alone_explains():
    rng = np.random.default_rng(0)
    free = rng.integers(0, 255, (200, 16, 16, 1), dtype=np.uint8)
    assert layout(free) < 0.02
    alike = (free // 8).astype(np.uint8)
    alike[:, 4:12, 4:12] += 200
    assert layout(alike) > 0.9
    assert halved(free).shape == (200, 8, 8, 1)


# --- readings ---


def test_a_reading_is_a_ridge_out_of_fold(seen):
    """Beside the normal equations, written out."""
    rng = np.random.default_rng(1)
    columns = rng.normal(0, 1, (90, 6)).astype(np.float32)
    labels = (columns[:, :1] + rng.normal(0, 1, (90, 1))) > 0.4
    folds = np.array_split(rng.permutation(90), 3)
    reader, chosen = Reader(columns, folds), np.array([0, 2, 3])
    found = reader.read(chosen, labels, part=np.array([0]))
    y = np.where(labels[:, 0], 1.0, -1.0)
    plain = {}
    for strength in STRENGTHS:
        scores, parts = np.zeros(90), np.zeros(90)
        for held in folds:
            fit = np.setdiff1d(np.arange(90), held)
            x = columns[fit][:, chosen].astype(np.float64)
            mean, rate = x.mean(axis=0), y[fit].mean()
            gram = (x - mean).T @ (x - mean)
            regular = gram + strength * np.trace(gram) / 3 * np.eye(3)
            w = np.linalg.solve(regular, (x - mean).T @ (y[fit] - rate))
            scores[held] = (columns[held][:, chosen] - mean) @ w + rate
            parts[held] = (columns[held, 0] - mean[0]) * w[0]
        standard = ((scores - scores.mean()) / scores.std())[:, None]
        logits = calibrated(standard, labels)
        plain[losses(logits, labels).mean()] = (logits, parts)
    logits, parts = plain[min(plain)]
    np.testing.assert_allclose(found.logits_NY, logits, atol=1e-4)
    np.testing.assert_allclose(found.parts_NY[:, 0], parts, atol=1e-4)


def test_labelings_read_together_are_read_as_alone(seen):
    rng = np.random.default_rng(2)
    labels = rng.random((480, 3)) < np.array([0.5, 0.2, 0.7])
    reader = Reader(seen.columns_NP, np.array_split(rng.permutation(480), 3))
    chosen = seen.cells((0, 0))
    together = reader.read(chosen, labels).logits_NY
    for y in range(3):
        alone = reader.read(chosen, labels[:, y : y + 1]).logits_NY[:, 0]
        np.testing.assert_allclose(together[:, y], alone, atol=1e-6)


def test_calibration_weighs_both_classes_half():
    rng = np.random.default_rng(3)
    labels = rng.random((4000, 1)) < 0.1
    scores = rng.normal(0, 1, (4000, 1)) + 1.5 * labels
    logits = calibrated(scores, labels)
    share = 1 / (1 + np.exp(-logits))
    # At the optimum the weighted errors sum to 0.
    error = np.where(labels, 0.5 / labels.mean(), 0.5 / (1 - labels.mean())) * (share - labels)
    assert abs(error.mean()) < 1e-4
    reversed_scores = calibrated(-scores, labels)
    np.testing.assert_allclose(losses(reversed_scores, labels).mean(), np.log(2), atol=1e-3)


# --- heaps ---


def made_heaps(shares, distance, count=3000, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    upper = rng.random(count) < np.array(shares)[labels]
    return rng.normal(0, 1, count) + distance * upper, labels, upper


def test_two_heaps_are_told_with_their_shares_and_members():
    scores, labels, upper = made_heaps((0.1, 0.9), 5.0)
    found = modes(scores, labels)
    assert heaped(found)
    assert found.distance == pytest.approx(5, abs=0.3)
    assert np.sort(found.shares) == pytest.approx([0.1, 0.9], abs=0.03)
    assert ((found.upper_N > 0.5) == upper).mean() > 0.98


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        (lambda: made_heaps((0.0, 1.0), 1.0)[0], "each class is a heap of its own"),
        (lambda: made_heaps((0.5, 0.5), 6.0)[0], "both classes have the same shares"),
        (lambda: np.random.default_rng(0).normal(0, 1, 3000), "there is one heap"),
        (lambda: np.repeat([0.0, 5.0, 0.0, 5.0], 750), "values are tied"),
    ],
)
def test_what_is_no_two_heaps(scores, why):
    assert not heaped(modes(scores(), np.arange(3000) % 2)), why


def test_heaps_just_beyond_and_just_short_of_each_threshold():
    at = {
        "gain": rules.MODES_GAIN,
        "distance": rules.MODES_DISTANCE,
        "shares": (0.2, 0.2 + rules.MODES_DIFFERENCE + 1e-9),
        "upper_N": np.zeros(1),
    }
    assert heaped(Modes(**at))
    assert not heaped(Modes(**{**at, "gain": rules.MODES_GAIN - 1e-6}))
    assert not heaped(Modes(**{**at, "distance": rules.MODES_DISTANCE - 1e-6}))
    assert not heaped(Modes(**{**at, "shares": (0.2, 0.19 + rules.MODES_DIFFERENCE)}))


# --- likeness ---


def test_an_operation_is_named_and_as_strong_as_the_difference(pictures):
    planted = plant(pictures, pictures.target("label"), "noise", 1.0, 0)
    labels = planted.target.labels_N == 1
    found = likeness(
        look(planted.dataset, 0),
        np.arange(len(labels)),
        labels,
        np.zeros(len(labels)),
        [view for view in VIEWS if view.likenesses],
    )
    assert (found.view.name, found.upper) == ("noise", True)
    assert found.operation.keywords["sigma"] in (6, 8, 10)
    reversed_ = likeness(
        look(planted.dataset, 0), np.arange(len(labels)), ~labels, np.zeros(480), [found.view]
    )
    assert not reversed_.upper


# --- presence ---


def finding(name="corners", gain=0.0, heaps=None, spread=0.1, **more):
    n = 1000
    noise = np.random.default_rng(0).normal(0, spread, n)
    values = {
        "view": BY_NAME[name],
        "labels_n": np.arange(n) % 2 == 1,
        "gain_n": noise - noise.mean() + gain,
        "groups": None,
        "control_z": None,
        "heaps": heaps,
        "ratio": 0.0,
        "skill": 0.0,
        "accuracy": 0.5,
        "logits_n": np.zeros(n),
    }
    return Finding(**{**values, **more})


def test_unique_gain_just_beyond_and_just_short():
    least = rules.UNIQUE_OTHER
    assert finding(gain=least + 1e-6).reasons == (UNIQUE,)
    assert finding(gain=least - 1e-6).reasons == ()
    assert finding(gain=least + 1e-6, spread=1.0).reasons == (), "its interval is too wide"


def test_a_group_is_one_draw():
    alone = finding(gain=0.05)
    together = finding(gain=0.05, groups=np.repeat(np.arange(10), 100).astype(str))
    grouped = np.repeat(np.arange(500), 2).astype(str)
    assert alone.unique[0] == together.unique[0]
    doubled = finding(gain=0.05, gain_n=np.repeat(alone.gain_n[:500], 2), groups=grouped)
    plain = finding(gain=0.05, gain_n=np.repeat(alone.gain_n[:500], 2))
    assert doubled.unique[1] == pytest.approx(plain.unique[1] * 2**0.5)


def test_the_frame_must_beat_the_ring_within_where_control_alone_speaks():
    gain = rules.CONTROL_GAIN + 1e-6
    assert finding("frame", gain=gain, control_z=rules.CONTROL_Z).reasons == (CONTROL,)
    assert finding("frame", gain=gain, control_z=rules.CONTROL_Z - 0.1).reasons == ()
    assert finding("frame", gain=gain - 1e-5, control_z=9.0).reasons == ()


def test_the_ratio_of_files_and_backgrounds():
    told = {"skill": rules.RATIO_SKILL, "ratio": rules.RATIO["file"]}
    assert finding("file", **told).reasons == (RATIO,)
    assert finding("file", **{**told, "ratio": rules.RATIO["file"] - 0.01}).reasons == ()
    assert finding("file", **{**told, "skill": rules.RATIO_SKILL - 0.01}).reasons == ()
    around = {"skill": 0.5, "ratio": rules.RATIO["background"]}
    assert finding("background", gain=0.05, **around).reasons == (RATIO,)
    assert finding("background", gain=0.0, **around).reasons == (), "the middle tells it all"


def test_heaps_of_a_place_count_where_it_tells_more_than_its_control():
    scores, labels, _ = made_heaps((0.1, 0.9), 6.0, count=1000)
    heaps = modes(scores, labels)
    assert finding("frame", heaps=heaps, control_z=0.1).reasons == (MODES,)
    assert finding("frame", heaps=heaps, control_z=-0.1).reasons == ()
    assert finding("mark", heaps=heaps).reasons == (MODES,)


def test_a_mark_that_no_image_contradicts_has_a_heap_for_each_class():
    def found(distance=rules.APART_DISTANCE, upper=1.0, skill=rules.APART_SKILL):
        heaps = Modes(gain=0.0, distance=distance, shares=(0.0, upper), upper_N=np.zeros(1))
        return finding("mark", heaps=heaps, skill=skill).reasons

    assert found() == (APART,)
    assert found(distance=rules.APART_DISTANCE - 0.1) == ()
    assert found(upper=rules.APART_DIFFERENCE - 0.01) == ()
    assert found(skill=rules.APART_SKILL - 0.01) == ()


def test_a_place_is_named_before_a_mark_anywhere():
    scores, labels, _ = made_heaps((0.1, 0.9), 6.0, count=1000)
    mark = finding("mark", heaps=modes(scores, labels))
    place, absent = finding("corners", gain=0.03), finding("frame")
    assert mark.strength > place.strength
    both = {one.view.name: one.strength for one in _places_first([mark, place, absent])}
    assert both["mark"] < both["corners"] == place.strength
    assert _places_first([mark, absent])[0].strength == mark.strength


def test_a_corner_must_tell_more_than_its_mirror():
    name, gain = "corner upper left", 0.1
    assert finding(name, gain=gain, control_z=rules.BEYOND_CONTROL_Z).reasons == (UNIQUE,)
    assert finding(name, gain=gain, control_z=rules.BEYOND_CONTROL_Z - 0.1).reasons == ()


def test_the_camera_is_named_by_an_operation_alone():
    assert finding("noise", gain=0.1).reasons == ()


@pytest.mark.parametrize(
    ("cue", "view"), [("logo", "corner lower right"), ("noise", "noise"), ("border", "frame")]
)
def test_a_planted_cue_is_found_and_named(pictures, seen, cue, view):
    target = pictures.target("label")
    before = {one.view.name: one for one in findings(seen, [target], 0)[0][0][1]}
    planted = plant(pictures, target, cue, 0.95, 0)
    found = findings(look(planted.dataset, 0), [planted.target], 0)[0][0][1]
    present = [one for one in found if one.reasons and one.view.kind == ARTEFACT]
    assert max(present, key=lambda one: one.strength).view.name == view
    assert not before[view].reasons
    (own,) = [one for one in present if one.view.name == view]
    if own.heaps is not None and heaped(own.heaps):
        conflict = sides(own).conflict
        assert (~planted.aligned_N[conflict]).mean() > 0.8


def test_what_is_blue_is_told_by_colour_alone(pictures, seen):
    found = findings(seen, [pictures.target("label")], 0)[0][0][1]
    present = [one.view for one in found if one.reasons]
    assert "colour" in [view.name for view in present]
    assert {view.kind for view in present} == {CONTEXT}


# --- sides ---


def test_sides_are_told_by_heaps_where_there_are_two():
    scores, labels, upper = made_heaps((0.1, 0.9), 6.0, count=1000)
    own = finding(heaps=modes(scores, labels), labels_n=labels == 1)
    told = sides(own)
    assert told.heaps
    assert (upper[told.aligned] == (labels[told.aligned] == 1)).mean() > 0.98
    assert (upper[told.conflict] != (labels[told.conflict] == 1)).mean() > 0.98
    assert not set(told.aligned) & set(told.conflict)
    plain = sides(finding(logits_n=np.where(np.arange(1000) < 10, -9.0, 0.0)))
    assert not plain.heaps
    assert set(plain.conflict) == {1, 3, 5, 7, 9}
    assert set(plain.aligned) == {0, 2, 4, 6, 8}


# --- usage ---


def interval(mean, low=None, high=None):
    return Interval(mean=mean, low=mean if low is None else low, high=high or mean)


def test_used_just_beyond_and_just_short():
    def used(**given):
        return Usage(**{"follows": None, "aligned": None, "conflict": None, **given}).used

    assert used() is None
    assert used(follows=interval(rules.FOLLOWS, 0.01)) is True
    assert used(follows=interval(rules.FOLLOWS - 0.01, 0.01)) is False
    assert used(follows=interval(0.5, -0.01)) is False
    gap = {"aligned": interval(0.9, 0.88), "conflict": interval(0.9 - rules.GAP - 0.001, 0.5, 0.7)}
    assert used(**gap) is True
    assert used(**{**gap, "conflict": interval(0.61, 0.5, 0.7)}) is False
    assert used(**gap, follows=interval(0.01, 0.0)) is False, "hard pictures, and no cue"
    assert used(**{**gap, "conflict": interval(0.5, 0.1, 0.89)}) is False


def test_answers_of_all_networks_are_put_together():
    labels = np.arange(100) % 2
    labeling = Labeling(
        name="label", classes=("a", "b"), labels_N=labels, ids_N=np.arange(100).astype(str)
    )
    both = Sides(aligned=np.arange(50), conflict=np.arange(50, 100), heaps=True)
    cause = Cause(finding=finding(), class_name="b", sides=both)
    answers = []
    for rows in (np.arange(0, 100, 2), np.arange(1, 100, 2)):
        said = np.where(rows < 50, labels[rows], 1 - labels[rows])
        flips = {"toward 0": np.repeat([1, 0], [30, 10]), "away 0": np.repeat([1, 0], [4, 36])}
        answers.append(Record(arrays={"rows": rows, "plain": said, **flips}))
    found = _usage(0, cause, np.arange(100), answers, labeling)
    assert (found.aligned.mean, found.conflict.mean) == (1.0, 0.0)
    assert found.follows.mean == pytest.approx(0.75 - 0.1)
    assert found.used
    hard = replace(cause, sides=replace(both, heaps=False))
    assert _usage(0, hard, np.arange(100), answers, labeling).aligned is None


# --- verdict ---


def cue(kind=ARTEFACT, view="corners", **more):
    values = {
        "view": view,
        "kind": kind,
        "words": "a thing",
        "target": "label",
        "class_name": "a",
        "present": True,
        "unique": interval(0.1),
        "unique_z": 9.0,
        "strength": 2.0,
        "ratio": 0.9,
        "skill": 0.4,
        "accuracy": 0.8,
    }
    return Cue(**{**values, **more})


@pytest.mark.parametrize(
    ("given", "place", "controlled", "expected"),
    [
        (cue(present=False, used=True), False, False, PASS),
        (cue(used=True, allowed=True), False, False, PASS),
        (cue(used=True), False, False, FAIL),
        (cue(used=True), True, False, FAIL),
        (cue(used=True), False, True, FAIL),
        (cue(used=True), True, True, WARN),
        (cue(used=False), False, False, WARN),
        (cue(used=None), False, False, WARN),
        (cue(used=True, reasons=(APART,)), False, False, WARN),
        (cue(used=True, reasons=(UNIQUE, APART)), False, False, FAIL),
        (cue(FILE, "file"), False, True, FAIL),
        (cue(CONTEXT, "colour", used=True), False, False, WARN),
    ],
)
def test_what_a_cue_amounts_to(given, place, controlled, expected):
    assert verdict.of_cue(given, place, controlled) == expected


def test_the_worst_verdict_counts():
    assert verdict.worst([PASS, FAIL, WARN]) == FAIL
    assert verdict.worst([PASS, NONE]) == PASS
    assert verdict.worst([]) == PASS


def test_sentences():
    def said(amounts, *cues):
        return verdict.sentence(amounts, cues, 12, 900)

    assert said(PASS) == "the labels go with none of the 12 cues that were looked at"
    assert "too few" in said(NONE)
    gap = cue(used=True, aligned=interval(0.98), conflict=interval(0.12))
    assert "98% of the pictures" in said(FAIL, gap)
    assert "12%" in said(FAIL, gap)
    assert "40% more" in said(FAIL, cue(used=True, follows=interval(0.4)))
    assert "hardly follow" in said(WARN, cue(used=False))
    assert "may be what is meant" in said(WARN, cue(used=True, reasons=(APART,)))
    assert "could not be asked" in said(WARN, cue())
    assert "--allow colour" in said(WARN, cue(CONTEXT, "colour"))
    assert "a thing, those of a most of all: a" in said(WARN, cue(CONTEXT, classes=("a", "b")))
    assert "without looking" in said(FAIL, cue(FILE, "file"))


# --- the whole ---


def audited(dataset, *targets, **options):
    config = AuditConfig(learner="mlp", networks="never", **options)
    return audit(dataset, [dataset.target(t) for t in targets], config, Journal(), Callbacks([]))


def test_refusals(pictures):
    with pytest.raises(ConfigError, match="no view 'color'"):
        audited(pictures, "label", allow=("color",))
    small = td.from_arrays(pictures.images[:, :12, :12], pictures.labels, classes=("a", "b"))
    with pytest.raises(DataError, match="too small to audit"):
        audited(small, "label")


def test_an_audit_of_two_targets_one_of_which_is_too_small(pictures):
    few = np.where(np.arange(480) < 40, "x", "y")
    three = np.array(["r", "s", "t"])[np.arange(480) % 3]
    dataset = td.from_arrays(
        pictures.images,
        pictures.labels,
        classes=pictures.classes,
        attributes=pd.DataFrame({"few": few, "three": three}),
    )
    found = audited(dataset, "label", "attr:few", "attr:three")
    assert found.verdicts == {"label": WARN, "attr:few": NONE, "attr:three": PASS}
    assert found.verdict == WARN
    assert "--allow" in found.sentence
    assert (found.cues[0].kind, found.cues[0].target) == (CONTEXT, "label")
    several = [c for c in found.cues if c.target == "attr:three"]
    assert {c.class_name for c in several} <= {"r", "s", "t"}
    assert all(0.2 < c.joint < 0.45 for c in several), "chance"
    assert all(c.joint is None for c in found.cues if c.target == "label")
    assert found.sentence.startswith("label: the labels go with")
    assert any("little power" in note for note in found.notes)
    assert any("--networks never" in line for line in found.not_looked_at)
    allowed = audited(dataset, "label", allow=(CONTEXT,))
    assert (allowed.verdict, allowed.present) == (PASS, ())
    assert allowed.sentence.startswith("the labels go with none of")
