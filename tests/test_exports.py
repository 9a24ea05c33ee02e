"""What was found, in the forms of other tools: opened by these where they are installed."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import taskdiscovery as td
from taskdiscovery.cli.main import main
from taskdiscovery.exports import FORMS
from taskdiscovery.types import Setup
from taskdiscovery.types.scores import Interval

N = 40


@pytest.fixture(scope="module")
def data(digits):
    attributes = pd.DataFrame({"camera": ["old", "new"] * 20, "tags": range(N), "weight": 0.5})
    labels = digits.labels[:N] % 3
    return td.load(digits.images[:N], labels=labels, attributes=attributes, callbacks=())


@pytest.fixture(scope="module")
def tasks(data):
    rng = np.random.default_rng(0)
    coordinates = rng.normal(size=(N, 2)).astype(np.float32)
    return td.Tasks(
        labels_ND=(coordinates > 0).astype(np.int64),
        names=("task_000", "task_001"),
        ids_N=data.ids,
        k=(2, 2),
        coordinates_NP=coordinates,
        seen_N=np.arange(N) < 30,
    )


@pytest.fixture(scope="module")
def found(data, tasks):
    """Return tasks, scores, a split and an audit of the same images."""
    rows = np.arange(30, 35)
    score = td.Score(
        task="task_000",
        learner="mlp",
        preset="quick",
        precision="float32",
        runs=2,
        agreement=0.6,
        low=0.5,
        high=0.7,
        covers="images",
        chance=0.5,
        kappa=0.2,
        rate=0.5,
        accuracy=float("nan"),
        agreement_n=np.array([1, 0, 1, 1, 0], np.float32),
        rows_n=rows,
        ids_n=data.ids[rows],
        name="tasks",
    )
    role = np.full(N, -1, np.int8)
    role[:20], role[20:24], role[24:30] = 0, 1, 2
    setup = Setup(
        orientation="same",
        group=(1,),
        class_balanced=False,
        learner="mlp",
        preset="quick",
        precision="float32",
        runs=2,
    )
    split = td.Split(target=data.target("label:0"), task=tasks[0], role_N=role, setup=setup)
    cue = td.Cue(
        view="corner lower right",
        kind="artefact",
        words="something",
        target="label",
        class_name="0",
        present=True,
        unique=Interval(mean=0.1, low=0.05, high=0.2),
        unique_z=5.0,
        strength=2.0,
        ratio=1.0,
        skill=0.4,
        accuracy=0.9,
        aligned_rows=np.arange(3),
        conflict_rows=np.array([5]),
    )
    audit = td.Audit(
        verdict="WARN",
        sentence="a cue",
        cues=(cue,),
        verdicts={"label": "WARN"},
        classes={},
        looked_at=(),
        images=N,
        data="array",
        ids=data.ids,
    )
    return tasks, td.Scores([score]), split, audit


def exported(form, data, found, out, **options):
    return td.export(out / form, data, *found, to=form, callbacks=(), **options)


def table(folder):
    return pd.read_csv(folder / "table.csv", dtype={"image_id": str})


def test_the_table_carries_ids_splits_tasks_agreement_and_groups(data, found, tmp_path):
    folder = exported("csv", data, found, tmp_path)
    own = table(folder)
    tasks, _, split, _ = found
    assert own["image_id"].tolist() == data.ids.tolist()
    assert own["task_001"].tolist() == tasks.labels_ND[:, 1].tolist()
    assert own["partition"].tolist() == ["train"] * 30 + ["test"] * 10
    assert own["agreement_task_000"][30:35].tolist() == [1, 0, 1, 1, 0]
    assert own["agreement_task_000"].notna().sum() == 5
    side = own["split_label_0"]
    assert (side[:20] == "train").all()
    assert (side[24:30] == "test").all()
    assert side[30:].isna().all()
    assert own["split_label_0_conflict"].dropna().sum() == 6
    names = [
        f"{split.target.classes[y]}, task_000 {t}"
        for y, t in zip(split.target.labels_N, tasks.labels_ND[:, 0], strict=True)
    ]
    assert own["split_label_0_group"].tolist() == names
    lean = [tasks.coordinates_NP[data.labels == c, 0].mean() for c in range(3)]
    upper = np.isin(data.labels, np.argsort(lean)[1:])
    conflict = upper != (tasks.labels_ND[:, 0] == 1)
    assert own["conflict_label_task_000"].tolist() == conflict.tolist()
    cue = own["cue_corner_lower_right"]
    assert cue[:3].tolist() == ["aligned"] * 3
    assert cue[5] == "conflict"
    assert own["camera"].tolist() == ["old", "new"] * 20
    described = pd.read_csv(folder / "columns.csv")
    assert described["column"].tolist() == own.columns.tolist()
    assert described["about"].notna().all()
    assert not list(folder.rglob("*.png"))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_a_card_and_the_table(form, data, found, tmp_path):
    folder = exported(form, data, found, tmp_path)
    card = (folder / "README.md").read_text("utf-8")
    for name in ("image_id", "task_000", "agreement_task_000", "split_label_0", "group_label"):
        assert f"`{name}" in card
    for block in re.findall(r"```python\n(.*?)```", card, re.S):
        compile(block, form, "exec")
    with pytest.raises(td.RunDirError):
        exported(form, data, found, tmp_path)
    if form != "fiftyone":
        bare = exported(form, data, found, tmp_path / "bare", no_images=True)
        assert not list(bare.rglob("*.png"))
        assert "Pictures were left out" in (bare / "README.md").read_text("utf-8")


def test_hugging_face_files_have_the_partition_and_every_split(data, found, tmp_path):
    import yaml

    folder = exported("hf", data, found, tmp_path)
    head = yaml.safe_load((folder / "README.md").read_text("utf-8").split("---\n")[1])
    assert [own["config_name"] for own in head["configs"]] == ["default", "split-label-0"]
    counts = {
        (own["config_name"], part["name"]): part["num_examples"]
        for own in head["dataset_info"]
        for part in own["splits"]
    }
    assert counts == {
        ("default", "train"): 30,
        ("default", "test"): 10,
        ("split-label-0", "train"): 20,
        ("split-label-0", "within"): 4,
        ("split-label-0", "test"): 6,
    }
    again = td.load(f"parquet:{folder / 'data'}?split=train", callbacks=())
    assert (again.images == data.images[:30]).all()
    assert again.classes == data.classes
    metadata = pd.read_csv(folder / "split-label-0" / "metadata.csv", dtype={"img_filename": str})
    assert metadata["split"].tolist() == [0] * 20 + [1] * 4 + [2] * 6
    assert metadata["img_filename"].tolist() == data.ids[:30].tolist()
    blurred = exported("hf", data, found, tmp_path / "blurred", blur=True)
    other = td.load(f"parquet:{blurred / 'data'}?split=train", callbacks=())
    assert not (other.images == data.images[:30]).all()


def test_fiftyone_labels_name_their_files(data, found, tmp_path):
    folder = exported("fiftyone", data, found, tmp_path)
    document = json.loads((folder / "labels.json").read_text("utf-8"))
    assert document["classes"] == ["0", "1", "2"]
    own = document["labels"]["000031"]
    assert own["label"] == data.labels[31]
    assert own["attributes"]["agreement_task_000"] == 0
    assert own["attributes"]["attribute_tags"] == 31, "its labels have tags of their own"
    assert "label" not in own["attributes"]
    pixels = np.asarray(Image.open(folder / "data" / "000031.png"))
    assert (pixels == data.images[31, ..., 0]).all()
    with pytest.raises(td.ConfigError, match="shows pictures"):
        exported("fiftyone", data, found, tmp_path / "bare", no_images=True)
    assert not (tmp_path / "bare" / "fiftyone").exists()


def test_croissant_describes_every_column_and_file(data, found, tmp_path):
    folder = exported("croissant", data, found, tmp_path)
    document = json.loads((folder / "croissant.json").read_text("utf-8"))
    fields = document["recordSet"][0]["field"]
    columns = [f["source"]["extract"].get("column") for f in fields]
    assert columns[:-1] == table(folder).columns.tolist()
    assert len({field["@id"] for field in fields}) == len(fields)
    assert [own["@id"] for own in document["distribution"]] == ["table.csv", "images"]


def test_cleanlab_gets_features_or_coordinates(data, found, tmp_path):
    tasks = found[0]
    folder = exported("cleanlab", data, found, tmp_path)
    assert (np.load(folder / "features.npy") == tasks.coordinates_NP).all()
    numbers = np.random.default_rng(1).normal(size=(N, 3)).astype(np.float32)
    own = td.load(data.images, labels=data.labels, features=numbers, callbacks=())
    folder = exported("cleanlab", own, found[:1], tmp_path / "beside")
    assert (np.load(folder / "features.npy") == numbers).all()


def test_labels_that_are_missing_stay_missing(data, found, tmp_path):
    labels = np.where(np.arange(N) == 4, None, data.labels.astype(str).astype(object))
    own = td.load(data.images, labels=labels, callbacks=())
    for form in ("csv", "fiftyone"):
        folder = exported(form, own, found[:1], tmp_path)
        row = table(folder).loc[4]
        assert row[["label", "conflict_label_task_000", "group_label_task_000"]].isna().all()
    assert json.loads((folder / "labels.json").read_text("utf-8"))["labels"]["000004"] is None


def test_what_cannot_be_exported_is_said(data, found, tmp_path):
    fewer = td.load(data.images[:30], callbacks=())
    for images, given, words in (
        (data, (), "nothing to export"),
        (data, (3,), "int cannot be exported"),
        (fewer, found[:1], "other images"),
    ):
        with pytest.raises(td.DataError, match=words):
            td.export(tmp_path / "x", images, *given, to="csv", callbacks=())
    with pytest.raises(td.ConfigError, match="did you mean 'csv'"):
        td.export(tmp_path / "x", data, found[0], to="cvs", callbacks=())
    deep = td.load(np.zeros((N, 8, 8, 2), np.uint8) + data.images, labels=data.labels, callbacks=())
    with pytest.raises(td.DataError, match="2 channels"):
        td.export(tmp_path / "x", deep, found[0], to="hf", callbacks=())
    assert list(tmp_path.iterdir()) == []


def test_the_command_exports_a_run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "discover shapes?n=120&size=8 --method spectral --tasks 2 --learner linear --threads 1"
    assert main([*words.split(), "--epochs", "1", "--out", "run", "--quiet"]) == 0
    capsys.readouterr()

    def export(*words):
        return main(["export", *words, "--quiet"])

    assert export("run", "--to", "csv", "--out", "out") == 0
    assert capsys.readouterr().out.strip() == "out"
    assert {"task_000", "partition", "label", "group_label_task_000"} <= set(table(Path("out")))
    assert export("run", "--to", "csv", "--out", "out") == 4
    assert export("run", "--to", "excel", "--out", "new") == 2
    assert export("run", "--to", "csv", "--split", "none", "--out", "new") == 2
    assert export(".", "--to", "csv", "--out", "new") == 4
    assert "choose from: cleanlab" in capsys.readouterr().err
    assert not Path("new").exists()


#: what opens each form, and what is looked at then, in a process of its own.
OPENED = {
    "hf": (
        "datasets",
        "split = datasets.load_dataset(FOLDER, 'split-label-0'); "
        "assert [len(split[k]) for k in ('train', 'within', 'test')] == [20, 4, 6]; "
        "row = split['test'][0]; assert row['image'].size == (8, 8); "
        "assert split['test'].features['label'].names == ['0', '1', '2']",
    ),
    "croissant": (
        "mlcroissant",
        "assert not dataset.metadata.issues.errors; "
        # Its records go on where the loop before them was left.
        "again = mlcroissant.Dataset(jsonld='croissant.json'); "
        "rows = list(again.records('rows')); assert len(rows) == 40; "
        "assert rows[31]['rows/image'].size == (8, 8); "
        "assert rows[31]['rows/agreement_task_000'] == 0",
    ),
    "cleanlab": ("cleanlab", "assert len(issues) == 40; assert 'is_label_issue' in issues"),
    "csv": ("pandas", "assert len(table) == 40"),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", OPENED)
def test_the_tool_opens_it_as_the_card_says(form, data, found, tmp_path):
    library, look = OPENED[form]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    folder = exported(form, data, found, tmp_path)
    card = (folder / "README.md").read_text("utf-8").replace("PATH", str(folder))
    shown = re.findall(r"```python\n(.*?)```", card, re.S)[0]
    run(f"{shown}\n{look.replace('FOLDER', repr(str(folder)))}", folder)


@pytest.mark.slow
def test_fiftyone_reads_the_files(data, found, tmp_path):
    """Its own reader, without its database, which is a download."""
    if importlib.util.find_spec("fiftyone") is None:
        pytest.skip("fiftyone is not installed")
    folder = exported("fiftyone", data, found, tmp_path)
    run(
        "from fiftyone.utils.data import importers\n"
        "reader = importers.FiftyOneImageClassificationDatasetImporter(dataset_dir='.')\n"
        "with reader: rows = [(path, label) for path, _, label in reader]\n"
        "assert len(rows) == 40\n"
        "assert rows[31][1]['agreement_task_000'] == 0 and rows[31][1]['task_000'] in '01'\n",
        folder,
    )


@pytest.mark.slow
def test_spotlight_reads_the_files(data, found, tmp_path):
    """Its store of data, which the page asks; no page is opened."""
    if importlib.util.find_spec("renumics") is None:
        pytest.skip("renumics-spotlight is not installed")
    folder = exported("spotlight", data, found, tmp_path)
    run(
        "import json, pandas as pd\n"
        "from renumics.spotlight.plugin_loader import load_plugins\n"
        "load_plugins()\n"
        "from renumics.spotlight.data_source import create_datasource\n"
        "from renumics.spotlight.data_store import DataStore\n"
        "from renumics.spotlight.dtypes import create_dtype\n"
        "types = {k: create_dtype(v) for k, v in json.load(open('dtypes.json')).items()}\n"
        "store = DataStore(create_datasource(pd.read_parquet('table.parquet')), types)\n"
        "picture = store.get_converted_values('file_name', [31], simple=False)[0]\n"
        "assert bytes(picture)[1:4] == b'PNG'\n"
        "assert len(store.get_converted_values('coordinates', [31], simple=False)[0]) == 2\n"
        "values = {c: store.get_converted_values(c, [31], simple=False) for c in types}\n"
        "assert values['agreement_task_000'] == [0]\n",
        folder,
    )


def run(program, folder):
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "cache")}
    environment |= {"FIFTYONE_DO_NOT_TRACK": "1", "HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
