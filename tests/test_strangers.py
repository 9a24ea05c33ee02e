"""A run from a stranger, a folder of a stranger: nothing executed, nothing touched outside.

What a run's files name is tried in every field of every file, and by every command; every file of a
run is a link, a FIFO, a folder or another name of somebody's file, and every command meets it. An
audit hook sees each file that Python opens, and a module of the stranger's leaves a trace.
"""

import copy
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import taskdiscovery as td
from taskdiscovery.cli import main
from taskdiscovery.config import key_of, options
from taskdiscovery.discovery import METHODS
from taskdiscovery.errors import DataError
from taskdiscovery.jobs import CONFIGS
from taskdiscovery.jobs.trust import REACHES, Reach, reach_of
from taskdiscovery.runtime import interrupts
from taskdiscovery.store import Run
from taskdiscovery.store.journal import JournalWatch

DATA = "shapes?n=240&size=8"
NET = ["--learner", "linear", "--threads", "1", "--quiet"]
DISCOVER = ["discover", DATA, *NET, "--tasks", "2", "--method", "spectral", "--start", "pixels"]
SCORE = [*NET, "--preset", "smoke", "--runs", "2", "--epochs", "1"]
#: what each command may end in where a run is not as we wrote it.
CODES = {0, 2, 3, 4, 5}
EVIL = """
from pathlib import Path
Path(__file__).with_name("executed").touch()
def load(*_, **__):
    Path(__file__).with_name("called").touch()
"""

_opened = []
_watched = [""]


def _see(event, arguments):
    if event == "open" and _watched[0] and isinstance(arguments[0], str | bytes):
        path = os.fsdecode(arguments[0])
        if path.startswith(_watched[0]):
            _opened.append(path)


sys.addaudithook(_see)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A finished run with everything in it, and one whose score was stopped on the way."""
    place = tmp_path_factory.mktemp("runs")
    finished, unfinished = place / "finished", place / "unfinished"
    assert main([*DISCOVER, "--out", str(finished), "--encoder-epochs", "1"]) == 0
    added = ["--from", str(finished)]
    assert main(["score", DATA, *SCORE, *added]) == 0
    assert main(["split", DATA, *SCORE, "--target", "label:disc,cross", *added]) == 0
    assert main(["analyze", str(finished), "--quiet", "--probe-images", "20"]) == 0
    assert main(["report", str(finished), "--quiet"]) == 0
    real = JournalWatch.boundary

    def boundary(self, state):
        interrupts.request(signal.SIGINT)
        real(self, state)

    JournalWatch.boundary = boundary
    try:
        options = [*SCORE, "--target", "label", "--out", str(unfinished)]
        assert main(["score", DATA, *options, "--checkpoint-every", "0"]) == 130
    finally:
        JournalWatch.boundary = real
    return {"finished": finished, "unfinished": unfinished}


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A place with things of ours that a stranger's run would like, and his own module."""
    place = tmp_path / "stranger"
    place.mkdir()
    (place / "evil.py").write_text(EVIL)
    (place / "labels.csv").write_text("image_id,a\n0,1\n")
    np.savez(place / "images.npz", images=np.zeros((4, 8, 8), np.uint8))
    folder = place / "photos" / "a"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(b"no picture")
    shutil.copytree(folder, place / "000001")
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(str(place))  # even where it can be imported
    sys.modules.pop("evil", None)
    yield place
    sys.modules.pop("evil", None)


def ours(place):
    """What a stranger's run would change: every path with its kind, its content and its times."""
    found = {}
    for path in sorted(place.rglob("*")):
        if "__pycache__" in path.parts:
            continue
        state = path.lstat()
        content = path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(place))] = (state.st_mode, state.st_mtime_ns, content)
    return found


def untouched(place, call):
    """Run a command, and say what it opened of ours; nothing must have changed there."""
    before = ours(place)
    _opened.clear()
    _watched[0] = str(place)
    try:
        code = call()
    finally:
        _watched[0] = ""
    assert code in CODES, code
    assert ours(place) == before
    return list(_opened)


def commands(run):
    """All that takes a run, by name."""
    return {
        "verify": ["verify", str(run)],
        "show": ["show", str(run)],
        "discard": ["discard", str(run)],
        "resume": ["resume", str(run), "--quiet"],
        "report": ["report", str(run), "--quiet"],
        "export": ["export", str(run), "--to", "hf", "--out", f"{run}-export", "--quiet"],
        "analyze": ["analyze", str(run), "--quiet", "--images", "20", "--probe-images", "10"],
        "label": ["label", str(run), DATA, "--quiet"],
        "score": ["score", DATA, *SCORE, "--from", str(run)],
        "split": ["split", DATA, *SCORE, "--target", "label:disc,cross", "--from", str(run)],
        "audit": ["audit", DATA, *NET, "--from", str(run), "--out", f"{run}-audit"],
    }


def leaves(document, path=()):
    """Every place of a document where a text may stand; of lists the first entry."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from leaves(value, (*path, key))
    elif isinstance(document, list):
        yield from leaves(document[0], (*path, 0)) if document else [(*path, 0)]
    else:
        yield path


def planted(document, path, value):
    document = copy.deepcopy(document)
    place = document
    for step in path[:-1]:
        place = place[step]
    if isinstance(place, list) and not place:
        place.append(value)
    else:
        place[path[-1]] = value
    return document


def wishes(place):
    """What a stranger would like to have used."""
    return [
        "evil:load",
        "untrained:evil:load",
        "torchvision:evil?root=.",
        f"folder:{place / 'photos'}",
        f"npz:{place / 'images.npz'}",
        f"{place / 'labels.csv'}:a",
    ]


FILES = {"config.yaml": yaml.safe_load, "status.json": json.loads, "result.json": json.loads}
DOCUMENTS = [(kind, name) for kind in ("finished", "unfinished") for name in FILES][:5]
#: numbers, some hundred of them, and no field that names anything.
DOCUMENTS[2] = pytest.param(*DOCUMENTS[2], marks=pytest.mark.slow)
#: what may name something; other fields get one wish each.
KEYS = {"data"} | {
    key_of(item)
    for config in (*CONFIGS.values(), *METHODS.values())
    for item in options(config)
    if item.metadata["names"]
}
#: the commands that read what a file of a run names; the others take it from the caller.
NAMING = {"finished": ("report", "analyze", "show"), "unfinished": ("show", "resume", "discard")}


def write(file, document):
    text = yaml.safe_dump(document) if file.suffix == ".yaml" else json.dumps(document)
    file.write_text(text)


@pytest.mark.parametrize(("kind", "name"), DOCUMENTS)
def test_fault_61_whatever_a_field_names_is_neither_imported_nor_opened(
    kind, name, runs, stranger, monkeypatch
):
    """Every field of every document of a run, in turn, and all the commands that read it."""
    if kind == "finished":  # what is read is what matters here, not what is made of it
        monkeypatch.setattr("taskdiscovery.reporting.write.Page", _NoPage)
        monkeypatch.setattr("taskdiscovery.reporting.write.render", lambda *_: "page")
        monkeypatch.setattr("taskdiscovery.analysis.evidence.analyze", _no_analysis)
    document = FILES[name]((runs[kind] / name).read_text())
    if name == "status.json":
        document["job"]["added"] = True  # so that the job is taken from here
    places = [path for path in leaves(document) if path[-1] != "state"]
    assert len(places) > 5
    for i, path in enumerate(places):
        wished = wishes(stranger)
        naming = name != "result.json" and path[-1] in KEYS
        for wish in wished if naming else [wished[i % len(wished)]]:
            run = stranger.parent / f"run-{kind}"
            shutil.copytree(runs[kind], run)
            write(run / name, planted(document, path, wish))
            for command in NAMING[kind]:
                opened = untouched(stranger, lambda c=command, r=run: main(commands(r)[c]))
                assert not opened, (i, path, wish, command)
            shutil.rmtree(run)
    assert not (stranger / "executed").exists()


class _NoPage:
    def __init__(self, material):
        self.context = dict


def _no_analysis(*_, **__):
    raise DataError("not measured in this test")


def test_every_option_that_is_a_text_says_what_it_names():
    """Or it is one of a few words; so a new option cannot be forgotten here."""
    # Columns of the data, and words.
    inside = {"exclude", "missing", "groups", "name", "allow", "device"}
    for config in (*CONFIGS.values(), *METHODS.values()):
        for item in options(config):
            if item.type in ("str", "tuple[str, ...]") and not item.metadata["choices"]:
                named = item.metadata["names"]
                assert named in REACHES or item.name in inside, (config.__name__, item.name)


@pytest.mark.parametrize(
    ("names", "text", "reach"),
    [
        ("learner", "convnet?width=0.5&augment=flip", Reach.INSIDE),
        ("learner", "timm:resnet18", Reach.INSIDE),
        ("learner", "evil:load", Reach.CODE),
        ("learner", "os:system?command=id", Reach.CODE),
        ("labeling", "label:0,1", Reach.INSIDE),
        ("labeling", "attr:hue", Reach.INSIDE),
        ("labeling", "/etc/passwd:a", Reach.OUTSIDE),
        ("tasks", ":task_001", Reach.INSIDE),
        ("tasks", "untrained:convnet", Reach.INSIDE),
        ("tasks", "untrained:evil:load", Reach.CODE),
        ("tasks", "../other", Reach.OUTSIDE),
        ("other", "array", Reach.INSIDE),
        ("other", "digits", Reach.INSIDE),
        ("other", "photos", Reach.OUTSIDE),
        ("other", "folder:photos", Reach.OUTSIDE),
        ("other", "evil:load", Reach.CODE),
        ("place", "features.npy", Reach.OUTSIDE),
        ("place", "", Reach.INSIDE),
    ],
)
def test_what_a_text_reaches(names, text, reach):
    assert reach_of(names, text) is reach


def test_a_run_of_ones_own_opens_its_data_and_one_from_elsewhere_asks(tmp_path, monkeypatch, capfd):
    images = np.random.default_rng(0).integers(0, 256, (80, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", images=images, labels=np.arange(80) % 2)
    run, data = tmp_path / "run", f"npz:{tmp_path / 'd.npz'}"
    assert main(["discover", data, *DISCOVER[2:], "--encoder-epochs", "1", "--out", str(run)]) == 0
    assert main(["report", str(run), "--quiet"]) == 0
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user's"))
    capfd.readouterr()
    assert main(["report", str(run), "--quiet"]) == 4
    said = capfd.readouterr().err
    assert "carries no seal of this user's" in said
    assert f"--data {data}" in said
    assert main(["report", str(run), "--quiet", "--data", data]) == 0
    with pytest.raises(td.RunDirError, match="lies outside"):
        td.analyze(None, run)


def test_code_that_is_named_again_is_run_and_no_other(tmp_path, monkeypatch, capfd):
    """Even where this user's own job has written the config."""
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def net(outputs, image_shape):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(8 * 8 * 3, outputs))\n"
    )
    monkeypatch.chdir(tmp_path)
    run, own = tmp_path / "run", ["--learner", "mine:net", "--threads", "1", "--quiet"]
    stop_at_once(monkeypatch)
    scored = ["score", DATA, *own, "--preset", "smoke", "--epochs", "1", "--target", "label"]
    assert main([*scored, "--out", str(run), "--checkpoint-every", "0"]) == 130
    monkeypatch.setattr(JournalWatch, "boundary", BOUNDARY)
    assert "resume run --allow mine:net" in capfd.readouterr().err.replace(f"{tmp_path}/", "")
    sys.modules.pop("mine", None)
    assert main(["resume", str(run), "--quiet"]) == 4
    assert main(["resume", str(run), "--quiet", "--learner", "mine:other"]) == 4
    assert "mine" not in sys.modules
    with pytest.raises(td.RunDirError, match="runs code"):
        td.resume(run)
    shutil.copytree(run, tmp_path / "again")
    assert main(["resume", str(run), "--quiet", "--learner", "mine:net"]) == 0
    assert td.resume(tmp_path / "again", allow=["mine:net"], callbacks=()) is not None


BOUNDARY = JournalWatch.boundary


def stop_at_once(monkeypatch):
    def boundary(self, state):
        interrupts.request(signal.SIGINT)
        BOUNDARY(self, state)

    monkeypatch.setattr(JournalWatch, "boundary", boundary)


# --- links, FIFOs, other names -------------------------------------------------------------------


def link(file, victim):
    file.symlink_to(victim / "labels.csv")


def link_to_a_folder(file, victim):
    file.symlink_to(victim)


def dangling(file, victim):
    file.symlink_to(victim / "new")


def other_name(file, victim):
    os.link(victim / "labels.csv", file)


def fifo(file, victim):
    os.mkfifo(file)


def folder(file, victim):
    file.mkdir()


def hollow(file, victim):
    with file.open("wb") as stream:
        stream.truncate(2**42)


INSTEAD = (link, link_to_a_folder, dangling, other_name, fifo, folder, hollow)
#: written through, locked, rotated or removed by one command or another.
PLACES = {
    "finished": (
        *("config.yaml", "status.json", "result.json", "manifest.json", "environment.json"),
        *(".lock", "metrics.jsonl", "encoder.safetensors", "tasks.parquet", "splits"),
        *("scores", "scores/tasks", "scores/tasks/scores.parquet"),
        *("splits/label-disc-cross/roles.parquet", "report.html", "checkpoints"),
    ),
    "unfinished": (
        *("config.yaml", "status.json", ".lock", "metrics.jsonl", "checkpoints", "scores"),
        "checkpoints/LAST",
        *(f"checkpoints/LAST/{name}" for name in ("state.json", "manifest.json")),
    ),
}


@pytest.mark.parametrize("instead", INSTEAD, ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", PLACES)
def test_fault_63_no_command_reaches_through_a_run(kind, instead, runs, stranger, monkeypatch):
    """Every file of a run is something else, and every command that writes or reads meets it."""
    monkeypatch.setattr("taskdiscovery.analysis.evidence.analyze", _no_analysis)
    signal.signal(signal.SIGALRM, _too_long)
    meeting = {"finished": ("verify", "report", "score"), "unfinished": ("resume",)}[kind]
    for name in PLACES[kind]:
        for command in commands(".") if instead is link else meeting:
            run = stranger.parent / "run"
            shutil.copytree(runs[kind], run)
            last = max((run / "checkpoints").glob("0*"), default=None)
            place = run / name.replace("LAST", last.name if last else "")
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            place.unlink(missing_ok=True)
            instead(place, stranger)
            signal.alarm(10)
            try:
                opened = untouched(stranger, lambda c=command, r=run: main(commands(r)[c]))
            finally:
                signal.alarm(0)
            if instead is not other_name:
                assert not opened, (name, command)
            shutil.rmtree(run)


def _too_long(*_):
    raise AssertionError("it waits")


def test_a_run_that_never_began_takes_nothing_of_others_with_it(tmp_path):
    run = Run.create(tmp_path / "run", "discover", {"data": "digits"})
    with run:
        (tmp_path / "run" / "notes.txt").write_text("mine")
        run.discard()
    assert sorted(os.listdir(tmp_path / "run")) == ["notes.txt"]


def test_checkpoints_are_removed_and_what_others_put_there_stays(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["unfinished"], run)
    (run / "checkpoints" / "000001-copy").mkdir()
    last = max((run / "checkpoints").glob("0*[0-9]"))
    (last / "note.txt").write_text("mine")
    assert main(["resume", str(run), "--quiet"]) == 0
    left = {str(p.relative_to(run)) for p in (run / "checkpoints").rglob("*")}
    hidden = next(name for name in left if name.endswith("note.txt"))
    assert left == {"000001-copy", hidden, os.path.dirname(hidden)} - {""} or len(left) == 3


@pytest.mark.parametrize("name", ["../victim", "/etc/hostname", "a//b", "", "a/../../b", "a\0b"])
def test_fault_65_a_manifest_names_files_of_the_run_only(name, runs, tmp_path, capfd):
    run = tmp_path / "run"
    shutil.copytree(runs["finished"], run)
    (tmp_path / "victim").write_text("mine")
    document = json.loads((run / "manifest.json").read_text())
    document["files"][name] = {"bytes": 4, "sha256": "0" * 64}
    (run / "manifest.json").write_text(json.dumps(document))
    assert main(["verify", str(run)]) == 4
    assert "does not name a file" in capfd.readouterr().out.replace("\n", " ")


def test_where_folders_cannot_be_opened_within_folders(runs, stranger, monkeypatch, tmp_path):
    """As on Windows: each step is looked at before it is taken."""
    monkeypatch.setattr("taskdiscovery.store.place._WITHIN", False)
    monkeypatch.setattr("taskdiscovery.store.place._AS_IT_IS", 0)
    run = tmp_path / "run"
    shutil.copytree(runs["unfinished"], run)
    assert main(["resume", str(run), "--quiet"]) == 0
    assert main(["verify", str(run)]) == 0
    for instead in (link, link_to_a_folder, fifo):
        for name in (".lock", "status.json", "checkpoints"):
            other = tmp_path / "other"
            shutil.copytree(runs["unfinished"], other)
            place = other / name
            shutil.rmtree(place) if place.is_dir() else place.unlink()
            instead(place, stranger)
            resume = ["resume", str(other), "--quiet"]
            opened = untouched(stranger, lambda c=resume: main(c))
            assert not opened, (name, instead)
            shutil.rmtree(other)


# --- documents that mean more than they say ------------------------------------------------------


def test_fault_66_what_an_encoder_says_is_held_against_its_arrays(runs, tmp_path):
    from safetensors.numpy import load, save

    content = (runs["finished"] / "encoder.safetensors").read_bytes()
    tensors = load(content)
    length = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["taskdiscovery"])
    changes = [("classes", 10**9), ("classes", -1), ("outputs", 10**12), ("outputs", 0)]
    changes += [("image_shape", [2**40, 8, 3]), ("image_shape", [8, 8, 10**9]), ("names", ["a"])]
    changes += [("image_shape", [-8, 8, 3]), ("names", []), ("outputs", 1e400), ("classes", None)]
    for key, value in changes:
        damaged = save(tensors, {"taskdiscovery": json.dumps({**header, key: value})})
        (tmp_path / "encoder.safetensors").write_bytes(damaged)
        with pytest.raises(td.RunDirError, match="cannot be read"):
            td.Encoder.load(tmp_path / "encoder.safetensors")


def test_a_config_that_unfolds_to_more_than_memory_is_refused(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["finished"], run)
    lines = ["format: 3", "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    (run / "config.yaml").write_text("\n".join(lines))
    for command in ("verify", "report", "resume"):
        assert main(commands(run)[command]) == 4


# --- a stranger's folder -------------------------------------------------------------------------

SHADOWS = ("yaml", "numpy", "typing", "json", "pickle", "torch", "rich", "evil", "loky", "PIL")


def shadowed(place):
    """A folder whose modules have the names of those that the package imports."""
    place.mkdir()
    for name in SHADOWS:
        (place / f"{name}.py").write_text("open('executed', 'w')\nraise SystemExit(99)\n")
    return place


@pytest.mark.parametrize("how", [["-m", "taskdiscovery"], ["console"]], ids=lambda how: how[0])
def test_fault_62_the_working_directory_shadows_no_module(how, runs, tmp_path):
    place = shadowed(tmp_path / "folder")
    script = Path(sys.executable).with_name("taskdiscovery")
    command = [script] if how == ["console"] else [sys.executable, *how]
    environment = {**os.environ, "PYTHONPATH": str(Path(td.__file__).parents[1])}
    done = subprocess.run(
        [*command, "verify", runs["finished"]], cwd=place, env=environment, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert not (place / "executed").exists()


@pytest.mark.slow
def test_fault_62_nor_in_the_processes_that_are_started(tmp_path):
    place = shadowed(tmp_path / "folder")
    command = [sys.executable, "-m", "taskdiscovery", "score", DATA, *SCORE, "--target", "label"]
    environment = {**os.environ, "PYTHONPATH": str(Path(td.__file__).parents[1])}
    done = subprocess.run(
        [*command, "--executor", "processes", "--jobs", "2"],
        cwd=place,
        env=environment,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert not (place / "executed").exists()


def test_a_module_that_the_user_names_lies_last_on_the_path_and_only_meanwhile(
    tmp_path, monkeypatch
):
    (tmp_path / "theirs.py").write_text(
        "import sys\nPATH = list(sys.path)\n"
        "def load():\n"
        "    import their_helper\n"
        "    import numpy as np\n"
        "    return np.arange(20 * 48, dtype=np.uint8).reshape(20, 4, 4, 3), np.arange(20) % 2\n"
    )
    (tmp_path / "their_helper.py").write_text("")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    if "" in before:
        monkeypatch.setattr(sys, "path", [p for p in before if p])
        before = list(sys.path)
    assert len(td.load("theirs:load", callbacks=())) == 20
    assert sys.path == before
    assert [*before, str(tmp_path)] == sys.modules["theirs"].PATH


def test_the_key_of_seals_is_its_owners_alone(tmp_path, monkeypatch):
    from taskdiscovery.store import seals

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    config = {"data": "folder:x", "range": (0.0, 1.0), "n": None}
    seal = seals.made(config)
    assert seals.holds({"data": "folder:x", "range": [0.0, 1.0], "n": None}, seal["seal"])
    assert not seals.holds({**config, "data": "folder:y"}, seal["seal"])
    assert not seals.holds(config, "0" * 64)
    assert not seals.holds(config, None)
    file = tmp_path / "taskdiscovery" / "key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.unlink()
    assert not seals.holds(config, seal["seal"])


def test_only_one_place_imports_what_a_text_names():
    """All other dynamic imports are of names that stand in the code, or of optional packages."""
    source = Path(td.__file__).parent
    found = {
        str(file.relative_to(source))
        for file in source.rglob("*.py")
        if "import_module(" in file.read_text() or "__import__(" in file.read_text()
    }
    assert found == {"runtime/importing.py", "runtime/disk.py", "__init__.py"}


def test_code_that_a_config_file_names_is_to_be_named_beside_it(stranger, capfd):
    file, run = stranger.parent / "config.yaml", stranger.parent / "run"
    scored = ["score", *SCORE[2:], "--target", "label", "--config", str(file)]
    for document in (
        {"data": DATA, "learner": "evil:load"},
        {"data": "evil:load", "learner": "linear"},
    ):
        file.write_text(yaml.safe_dump(document))
        assert main([*scored, "--out", str(run)]) == 2
        assert "if you trust it, say so" in capfd.readouterr().err
    assert not (stranger / "executed").exists()
    assert main(["score", "evil:load", *scored[1:], "--out", str(run)]) == 3
    assert (stranger / "executed").exists()


# --- checkpoints that a stranger wrote, with hashes that fit -------------------------------------


def rewritten(run, state=None, arrays=None, segment=None):
    """Change the newest checkpoint of a run, or its finished work; every hash is made to fit."""
    from safetensors.numpy import load, save

    from taskdiscovery.store import Checkpoints, manifest
    from taskdiscovery.store.place import Place

    number = Checkpoints(run / "checkpoints").numbers()[-1]
    place = run / "checkpoints" / f"{number:06d}"
    document = json.loads((place / "state.json").read_text())
    tensors = load((place / "arrays.safetensors").read_bytes())
    for entry in document["segments"] if segment else []:
        file = run / "checkpoints" / entry["name"]
        content = file.read_bytes()
        length = int.from_bytes(content[:8], "little")
        own = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["segment"])
        changed, kept = segment(own, load(content))
        file.write_bytes(save(kept, {"segment": json.dumps(changed)}))
        entry["bytes"], entry["sha256"] = manifest.measured(file.read_bytes())
    if state:
        state(document)
    if arrays:
        arrays(tensors)
    (place / "state.json").write_text(json.dumps(document))
    (place / "arrays.safetensors").write_bytes(save(tensors))
    manifest.write(Place(place), ["state.json", "arrays.safetensors"])


def under_way(**values):
    return {"state": lambda document: document["under_way"][1].update(values)}


def array(name, value):
    return {"arrays": lambda tensors: tensors.update({name: np.asarray(value)})}


HOSTILE = {
    "optimizer too short": array("optimizer.0.exp_avg", np.zeros(5, np.float32)),
    "optimizer of one": array("optimizer.0.exp_avg", np.zeros(1, np.float64)),
    "optimizer of integers": array("optimizer.1.exp_avg_sq", np.zeros(2, np.int64)),
    "optimizer of nothing": array("optimizer.99.exp_avg", np.zeros(2, np.float32)),
    "optimizer's own": array("optimizer.0.evil", np.zeros(2, np.float32)),
    "steps": array("optimizer.0.step", np.zeros(3, np.float32)),
    "order": array("permutation", np.arange(10**6)),
    "order twice": array("permutation", np.zeros(4, np.int64)),
    "total": array("total", np.zeros(5, np.float32)),
    "random": array("random.numpy", np.zeros(3, np.int64)),
    "weights": {
        "arrays": lambda tensors: tensors.update(
            {next(k for k in tensors if k.startswith("model.")): np.zeros((7, 2), np.float32)}
        )
    },
    "groups a text": under_way(groups="x"),
    "groups nothing": under_way(groups=[None]),
    "epoch endless": under_way(epoch=float("inf")),
    "epoch late": under_way(epoch=10**9),
    "batch before": under_way(batch=-1),
    "values a list": {"state": lambda document: document["under_way"].__setitem__(1, [3])},
    "header": {"state": lambda document: document.update(header=[])},
    "segments again": {"state": lambda document: document.update(segments=[{"name": "x"}] * 10**5)},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_fault_66_a_checkpoint_is_held_against_the_training(name, runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["unfinished"], run)
    rewritten(run, **HOSTILE[name])
    assert main(["resume", str(run), "--quiet"]) == 4


@pytest.mark.parametrize(
    "segment",
    [
        lambda document, arrays: (document, {}),
        lambda document, arrays: ({**document, "finished": {"x": 3}}, arrays),
        lambda document, arrays: (document, {k: v.ravel()[:1] for k, v in arrays.items()}),
        lambda document, arrays: ({**document, "finished": {k: [] for k in document}}, arrays),
    ],
)
def test_fault_66_finished_work_that_is_none(segment, runs, tmp_path, monkeypatch):
    run, left = tmp_path / "run", [3]

    def boundary(self, state):
        left[0] -= 1
        if left[0] == 0:
            interrupts.request(signal.SIGINT)
        BOUNDARY(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(JournalWatch, "boundary", boundary)
        options = [*SCORE, "--target", "label", "--out", str(run)]
        assert main(["score", DATA, *options, "--checkpoint-every", "0"]) == 130
    rewritten(run, segment=segment)
    assert main(["resume", str(run), "--quiet"]) in (0, 4)  # left out and done again, or refused


# --- small documents that cost much --------------------------------------------------------------

LEVELS = ["a0: &a0 {k: 1}"]
LEVELS += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 9)]
CONFIGS_THAT_COST = {
    "merges": "\n".join(["format: 3", *LEVELS]),
    "a number": f"format: 0x{'F' * 5000}",
    "a seed": f"format: 3\ncommand: discover\nseed: 0x{'F' * 5000}",
    "lines": "format: 3\nx:\n" + "- a\n" * 60_000,
    "a date": "format: 3\ncommand: discover\nsize: 2001-01-01",
    "deep": "format: 3\nx: " + "[" * 500 + "]" * 500,
}


@pytest.mark.parametrize("name", CONFIGS_THAT_COST)
def test_fault_64_a_config_costs_little_whatever_it_says(name, runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["finished"], run)
    (run / "config.yaml").write_text(CONFIGS_THAT_COST[name])
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(10)
    try:
        for command in ("verify", "report", "resume"):
            assert main(commands(run)[command]) == 4
        file = ["--config", str(run / "config.yaml")]
        assert main(["discover", DATA, "--out", str(tmp_path / "new"), *file]) == 2
    finally:
        signal.alarm(0)


@pytest.mark.parametrize(
    "change", [{"size": 1024}, {"data": "shapes?n=1000000"}, {"data": " "}, {"data": "digits?a=x"}]
)
def test_what_a_stranger_has_drawn_is_small(change, runs, stranger):
    (stranger / " ").symlink_to(stranger / "photos")
    run = stranger.parent / "run"
    shutil.copytree(runs["finished"], run)
    document = yaml.safe_load((run / "config.yaml").read_text())
    write(run / "config.yaml", {**document, **change})
    for command in ("report", "analyze"):
        assert not untouched(stranger, lambda c=command: main(commands(run)[c]))


@pytest.mark.parametrize("classes", [1, 10**8, 3.5, "many"])
def test_fault_66_classes_are_held_against_labels(classes, runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["finished"], run)
    numbers = json.loads((run / "result.json").read_text())
    if classes == 3.5:
        numbers["classes"] = 1
    (run / "result.json").write_text(json.dumps({**numbers, "classes": classes}))
    with pytest.raises(td.RunDirError, match="tasks cannot be read"):
        _ = td.open_run(run).tasks if classes != 3.5 else _with_odd_labels(run)


def _with_odd_labels(run):
    opened = td.open_run(run)
    table = opened.table("tasks.parquet")
    table["task_000"] = 7
    opened.table = lambda name: table
    return opened.tasks


def test_hints_are_safe_to_paste(tmp_path, capfd, monkeypatch):
    place = tmp_path / "a; touch b $(c)"
    stop_at_once(monkeypatch)
    scored = ["score", DATA, *SCORE, "--target", "label", "--checkpoint-every", "0"]
    assert main([*scored, "--out", str(place)]) == 130
    said = capfd.readouterr().err
    assert f"taskdiscovery resume '{place}'" in said


def test_allow_takes_texts_and_not_their_parts(runs, tmp_path):
    from taskdiscovery.jobs.trust import Allowed

    allowed = Allowed(networks={}, texts="see /etc/hostname or evil:load")
    assert not allowed.has("evil:load")
    assert Allowed(networks={}, texts=["evil:load"]).has("untrained:evil:load")
    run = tmp_path / "run"
    shutil.copytree(runs["unfinished"], run)
    assert td.resume(run, allow=["", "/data/a?x=1&x=2"], callbacks=()) is not None


def test_without_a_place_for_a_key_the_hint_names_what_is_needed(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("taskdiscovery.store.seals._key", lambda **_: None)
    images = np.random.default_rng(0).integers(0, 256, (80, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", images=images, labels=np.arange(80) % 2)
    data, run = f"npz:{tmp_path / 'd.npz'}", tmp_path / "run"
    scored = ["score", data, *SCORE, "--target", "label", "--out", str(run)]
    with monkeypatch.context() as patch:
        stop_at_once(patch)
        assert main([*scored, "--checkpoint-every", "0"]) == 130
    assert f"resume {run} --data {data}" in capfd.readouterr().err
    assert main(["resume", str(run), "--quiet"]) == 4
    assert main(["resume", str(run), "--quiet", "--data", data]) == 0
