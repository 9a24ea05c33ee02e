"""The splitter and the transformer, as scikit-learn itself uses and checks them."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch.utils.data import DataLoader, Dataset, TensorDataset

import taskdiscovery as td
from taskdiscovery.types import Labeling

FEW = {
    "check_n_features_in_after_fitting": "it gives 15 rows, discovery needs 20",
    "check_estimators_nan_inf": "it fits 10 rows, discovery needs 20",
}


@parametrize_with_checks(
    [td.DiscoverTasks(tasks=2, threads=1), td.DiscoverTasks(tasks=2, method="power", threads=1)],
    expected_failed_checks=lambda _: FEW,
)
def test_the_transformer_is_one_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def rows():
    """(400, 8) features that fall in two along each of two axes, and which side of each."""
    rng = np.random.default_rng(0)
    sides = rng.integers(0, 2, (400, 2))
    X = rng.normal(size=(400, 8))
    X[:, :2] += 6 * sides - 3
    return X, sides


@pytest.fixture(scope="module")
def fitted(rows):
    return td.DiscoverTasks(tasks=4, threads=1).fit(rows[0])


def labeled(values, name="task", coordinates=None):
    ids = np.array([f"im{i}" for i in range(len(values))])
    labels = np.asarray(values)
    return Labeling(
        name=name, classes=("0", "1"), labels_N=labels, ids_N=ids, coordinates_NC=coordinates
    )


def test_it_finds_what_falls_in_two(rows, fitted):
    X, sides = rows
    assert fitted.method_ == "pursuit"
    found = fitted.predict(X)
    for side in sides.T:
        assert max(abs(np.corrcoef(side, own)[0, 1]) for own in found.T) > 0.95
    coordinates = fitted.transform(X)
    assert coordinates.shape == found.shape == (400, len(fitted.discovery_.tasks))
    assert ((coordinates > 0) == found).all()
    assert fitted.get_feature_names_out().tolist() == list(fitted.encoder_.names)
    # What the checks above ask of fewer rows than discovery takes.
    again = td.DiscoverTasks(tasks=4, threads=1).fit(X)
    assert (again.transform(X) == coordinates).all()
    assert (fitted.transform(X[5:9]) == coordinates[5:9]).all()
    assert (pickle.loads(pickle.dumps(fitted)).transform(X) == coordinates).all()
    for bad in (np.nan, np.inf):
        spoiled = X.copy()
        spoiled[3, 2] = bad
        for call in (td.DiscoverTasks().fit, fitted.transform, fitted.predict):
            with pytest.raises(ValueError, match=r"NaN|infinity"):
                call(spoiled)
    with pytest.raises(ValueError, match="8 features"):
        fitted.transform(X[:, :5])


def test_its_tasks_can_be_scored_on_rows_that_it_has_not_seen(rows, fitted):
    found = fitted.discovery_
    assert (~found.tasks.seen_N).sum() == 40
    scores = td.score(rows[0], found, learner="ridge", preset="smoke", threads=1, callbacks=())
    assert len(scores) > len(found.tasks)
    assert scores[found.tasks.names[0]].agreement > 0.9


def test_it_stands_in_pipelines_and_searches(rows):
    X, sides = rows
    model = make_pipeline(td.DiscoverTasks(threads=1), LogisticRegression())
    search = GridSearchCV(model, {"discovertasks__tasks": [1, 4]}, cv=2)
    search.fit(pd.DataFrame(X, columns=list("abcdefgh")), sides[:, 1])
    assert search.score(pd.DataFrame(X, columns=list("abcdefgh")), sides[:, 1]) > 0.95
    frame = td.DiscoverTasks(tasks=4, threads=1).set_output(transform="pandas").fit_transform(X)
    assert next(iter(frame.columns)) == "task_000"
    with pytest.raises(td.ConfigError, match="tasks"):
        clone(model).set_params(discovertasks__tasks=0).fit(X, sides[:, 1])
    noise = np.random.default_rng(0).normal(size=(200, 10))
    with pytest.raises(td.NumericalError):  # a method that is named is not replaced by another
        td.DiscoverTasks(method="pursuit", threads=1).fit(noise)


def test_tasks_of_three_classes_have_two_columns(rows):
    X = np.concatenate([rows[0] + 9 * np.eye(8)[4], rows[0] - 9 * np.eye(8)[5]])
    found = td.DiscoverTasks(tasks=1, classes=3, threads=1).fit(X)
    assert found.transform(X).shape == (800, 2)
    assert found.get_feature_names_out().tolist() == ["task_000_0", "task_000_1"]
    assert set(found.predict(X)[:, 0]) == {0, 1, 2}


def test_a_split_breaks_a_model_in_cross_validation(rows):
    X, sides = rows
    y, task = sides[:, 1], sides[:, 0]
    splitter = td.AdversarialSplit(task=task)
    [(train, test)] = splitter.split(X, y)
    assert (y[train] == task[train]).all()
    assert (y[test] != task[test]).all()
    assert len(train) + len(test) == 400
    assert (train.dtype, test.dtype) == (np.int64, np.int64)
    model = LogisticRegression(C=1e-3)
    broken = cross_val_score(model, X, y, cv=splitter)
    control = td.AdversarialSplit(task=task, control="random")
    chance = cross_val_score(model, X, y, cv=control)
    assert broken.shape == chance.shape == (1,)
    assert broken[0] < 0.7 < 0.95 < chance[0]
    [(drawn, left)] = control.split(X, y)
    assert (np.bincount(y[drawn]) == np.bincount(y[train])).all()
    assert (np.bincount(y[left]) == np.bincount(y[test])).all()
    both = td.AdversarialSplit(task=task, orientation="both")
    assert both.get_n_splits() == 2 == len(cross_val_score(model, X, y, cv=both))
    (first, second), (third, fourth) = both.split(X, y)
    assert (first.tolist(), second.tolist()) == (fourth.tolist(), third.tolist())
    assert "orientation='both'" in repr(both)


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", None]), st.sampled_from([0, 1, None])),
        min_size=1,
        max_size=40,
    ),
    st.sampled_from([None, "random"]),
    st.booleans(),
)
def test_each_row_with_a_class_and_a_task_is_on_one_side(pairs, control, grouped):
    y, task = zip(*pairs, strict=True)
    groups = [i // 3 for i in range(len(y))] if grouped else None
    X = np.zeros((len(y), 1))
    try:
        [(train, test)] = td.AdversarialSplit(task=list(task), control=control).split(X, y, groups)
    except (td.DataError, td.ConfigError):
        return
    known = [i for i, pair in enumerate(pairs) if None not in pair]
    assert sorted([*train, *test]) == known
    assert len({y[i] for i in train}) > 1
    if grouped:
        assert not {i // 3 for i in train} & {i // 3 for i in test}
    elif len({y[i] for i in known}) == 2:
        assert len({(y[i], task[i]) for i in known}) >= 3


def test_groups_go_through_cross_validation(rows):
    X, sides = rows
    groups = np.arange(400) // 4
    splitter = td.AdversarialSplit(task=sides[:, 0])
    found = cross_validate(
        LogisticRegression(), X, sides[:, 1], groups=groups, cv=splitter, return_indices=True
    )
    [train], [test] = found["indices"]["train"], found["indices"]["test"]
    assert not set(groups[train]) & set(groups[test])
    with sklearn.config_context(enable_metadata_routing=True):
        again = cross_validate(
            LogisticRegression(),
            X,
            sides[:, 1],
            cv=splitter,
            params={"groups": groups},
            return_indices=True,
        )
    assert (again["indices"]["train"][0] == train).all()
    with pytest.raises(td.DataError, match="3 groups for 400 rows"):
        next(splitter.split(X, sides[:, 1], [1, 2, 3]))


def test_what_labels_rows_itself_cuts_those_of_an_inner_search(rows, fitted):
    X = rows[0]
    y, values = (X[:, 2] > 0).astype(int), fitted.predict(X)
    for task in (fitted, fitted.encoder_):
        splitter = td.AdversarialSplit(task=task)
        assert splitter.get_n_splits() == values.shape[1]
        [*folds] = splitter.split(X[:200], y[:200])
        assert len(folds) == values.shape[1]
    GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=splitter).fit(X[:200], y[:200])
    clusters = KMeans(2, n_init=1, random_state=0).fit(X)
    splitter = td.AdversarialSplit(task=clusters)
    assert splitter.get_n_splits(X) == 1 == len(list(splitter.split(X[:300], y[:300])))
    with pytest.raises(td.DataError, match="does not say how many"):
        splitter.get_n_splits()
    of_all = td.AdversarialSplit(task=fitted.discovery_)
    assert of_all.get_n_splits() == values.shape[1]
    with pytest.raises(td.DataError, match=r"labels 400 rows, X has 200\n.*\n.*encoder"):
        next(of_all.split(X[:200], y[:200]))


def test_a_frame_finds_its_tasks_by_its_index(rows):
    X, sides = rows
    frame = pd.DataFrame(X, index=[f"im{i}" for i in range(400)])
    y, mixed = sides[:, 1], np.random.default_rng(1).permutation(400)
    task = labeled(sides[:, 0])
    series = pd.Series(sides[:, 0], index=frame.index)
    for given_task in (task, series, series.iloc[::-1]):
        splitter = td.AdversarialSplit(task=given_task)
        [(train, _)] = splitter.split(frame.iloc[mixed], y[mixed])
        assert (y[mixed][train] == sides[mixed, 0][train]).all()
        [(train, _)] = splitter.split(frame.iloc[mixed[:99]], y[mixed[:99]])
        assert (y[mixed[:99]][train] == sides[mixed[:99], 0][train]).all()
    with pytest.raises(td.DataError, match="1 of 400 rows of X have no task"):
        next(td.AdversarialSplit(task=series.iloc[1:]).split(frame, y))
    # Row numbers name nothing: rows that were counted anew are not matched by them.
    with pytest.raises(td.DataError, match="400 rows, X has 99"):
        next(td.AdversarialSplit(task=task).split(frame.iloc[mixed[:99]].reset_index(), y[:99]))


def test_more_classes_are_cut_within_each_where_there_are_coordinates():
    rng = np.random.default_rng(0)
    x = rng.normal(size=300).astype(np.float32)
    y = np.arange(300) % 3
    task = labeled((x > 0).astype(np.int64), coordinates=x[:, None])
    [(train, test)] = td.AdversarialSplit(task=task).split(x[:, None], y)
    assert np.bincount(y[train]).tolist() == [50, 50, 50] == np.bincount(y[test]).tolist()
    [(train, _)] = td.AdversarialSplit(task=task, class_balanced=False).split(x[:, None], y)
    assert len(set(np.bincount(y[train]))) > 1
    with pytest.raises(td.ConfigError, match="no coordinate"):
        next(td.AdversarialSplit(task=(x > 0), class_balanced=True).split(x[:, None], y))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"orientation": "sme"}, td.ConfigError, "did you mean 'same'"),
        ({"control": "hard"}, td.ConfigError, "no control 'hard'"),
        ({"task": [0, 1, 2, 0]}, td.ConfigError, "3 classes"),
        ({"task": [0, 1, 0]}, td.DataError, "labels 3 rows, X has 4"),
        ({"task": [0, 0, 1, 1]}, td.DataError, "nearly the same"),
        ({"task": 7}, td.DataError, "shape"),
    ],
)
def test_wrong_options_of_a_split_are_told(options, error, words):
    splitter = td.AdversarialSplit(**{"task": [0, 1, 0, 1], **options})
    with pytest.raises(error, match=words):
        list(splitter.split(np.zeros((4, 1)), [0, 0, 1, 1]))
    with pytest.raises(td.DataError, match="no classes"):
        next(td.AdversarialSplit(task=[0, 1]).split(np.zeros((2, 1))))


class Folder(Dataset):
    """As torchvision's: samples and `targets`."""

    def __init__(self, images, targets):
        self.images, self.targets = images, targets

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.images[i], self.targets[i]


def test_a_torch_data_set_becomes_two_subsets_in_one_line():
    images = np.random.default_rng(0).integers(0, 255, (8, 4, 4, 3), np.uint8)
    y, task = [0, 0, 1, 1, 0, 0, 1, 1], [0, 1, 0, 1, 0, 1, 0, 1]
    wanted = ([0, 3, 4, 7], [1, 2, 5, 6])
    tensors = TensorDataset(torch.from_numpy(images), torch.tensor(y))
    plain = [(image, own) for image, own in zip(images, y, strict=True)]
    for dataset in (Folder(images, y), tensors, plain):
        train, test = td.AdversarialSplit(task=task).train_test(dataset)
        assert (list(train.indices), list(test.indices)) == wanted
        x, labels = next(iter(DataLoader(test, batch_size=4)))
        assert x.shape == (4, 4, 4, 3)
        assert labels.tolist() == [0, 1, 0, 1]
    alone = TensorDataset(torch.from_numpy(images))
    with pytest.raises(td.DataError, match="no labels"):
        td.AdversarialSplit(task=task).train_test(alone)
    train, test = td.AdversarialSplit(task=task).train_test(alone, y)
    assert (list(train.indices), list(test.indices)) == wanted
    with pytest.raises(td.ConfigError, match="2 folds"):
        td.AdversarialSplit(task=task, orientation="both").train_test(alone, y)
