"""The catalogue of faults as a user meets it: the command line, its exit code, its three lines.

Each case makes something wrong, runs a command in an empty directory, and looks at what is said
and at what is left behind. The numbers are those of docs/reliability.md.
"""

import io
import json
import os
import shutil
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from taskdiscovery.cli import main

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
LABELS = np.arange(40) % 2
SCORE = ["--target", "label", "--preset", "smoke", "--learner", "linear", "--threads", "1"]


def png(image, kind="PNG"):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind)
    return stream.getvalue()


def folder(root, names=("cat", "dog"), images=PICTURES):
    for i, image in enumerate(images):
        place = root / names[i % len(names)]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i}.png").write_bytes(png(image))
    return root


def npz(root, **arrays):
    root.mkdir(exist_ok=True)
    np.savez(root / "d.npz", **arrays)
    return f"npz:{root / 'd.npz'}"


def parquet(root, columns):
    root.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), root / "d.parquet")
    return f"parquet:{root / 'd.parquet'}"


def csv(root, frame):
    folder(root)
    frame.to_csv(root / "t.csv", index=False)
    return f"csv:{root / 't.csv'}"


ENCODED = [png(image) for image in PICTURES]


class Trap:
    """What unpickling would run."""

    def __reduce__(self):
        return (os.mkdir, ("executed",))


# --- what is wrong with the data -------------------------------------------------------------


def nan(w):
    images = np.full((40, 4, 4), 0.5)
    images[7, 1, 1] = np.nan
    return npz(w, images=images, labels=LABELS)


def infinite(w):
    images = np.full((40, 4, 4), 0.5)
    images[7, 1, 1] = np.inf
    return npz(w, images=images, labels=LABELS)


def truncated(w):
    folder(w)
    (w / "cat" / "broken.png").write_bytes(ENCODED[0][:60])
    return f"folder:{w}"


def truncated_late(w):
    columns = {"img": [*ENCODED[:-1], ENCODED[-1][:-40]], "label": LABELS}
    return parquet(w, columns)


def bomb(w):
    folder(w)
    header = bytearray(ENCODED[0])
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    (w / "cat" / "bomb.png").write_bytes(bytes(header))
    return f"folder:{w}"


def mixed(w):
    folder(w)
    (w / "cat" / "wide.png").write_bytes(png(np.zeros((5, 9, 3), dtype=np.uint8) + 9))
    return f"folder:{w}"


def missing_files(w):
    return csv(w, pd.DataFrame({"file": ["cat/0.png", "no.png"], "label": [0, 1]}))


def link_out(w):
    folder(w / "d")
    (w / "secret.png").write_bytes(ENCODED[0])
    (w / "d" / "cat" / "x.png").symlink_to(w / "secret.png")
    return f"folder:{w / 'd'}"


def loose(w):
    folder(w)
    (w / "beside.png").write_bytes(ENCODED[0])
    return f"folder:{w}"


def pickled(w):
    return npz(w, images=np.array([Trap()] * 3, dtype=object))


def npz_bomb(w):
    w.mkdir()
    file = w / "a.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", b"x")
    blob = bytearray(file.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = blob.index(signature) + offset
        blob[place : place + 4] = (2**31).to_bytes(4, "little")
    file.write_bytes(bytes(blob))
    return f"npz:{file}"


def pt_with_code(w):
    import torch

    w.mkdir()
    torch.save({"images": Trap()}, w / "d.pt")
    return f"npz:{w / 'd.pt'}"


def text_as_png(w):
    folder(w)
    (w / "cat" / "a.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n")
    return f"folder:{w}"


def damaged_pages(w):
    parquet(w, {"img": ENCODED, "label": LABELS})
    blob = bytearray((w / "d.parquet").read_bytes())
    blob[4:2000] = b"\xff" * 1996
    (w / "d.parquet").write_bytes(bytes(blob))
    return f"parquet:{w / 'd.parquet'}"


def npz_with_one_member_cut(w):
    npz(w, images=PICTURES, labels=LABELS)
    blob = (w / "d.npz").read_bytes()
    (w / "d.npz").write_bytes(blob[: len(blob) // 2])
    return f"npz:{w / 'd.npz'}"


def plain(w):
    return npz(w, images=PICTURES, labels=LABELS)


def shards_that_differ(w):
    w.mkdir()
    pq.write_table(pa.table({"img": ENCODED, "label": LABELS}), w / "0.parquet")
    pq.write_table(pa.table({"img": ENCODED, "y": LABELS}), w / "1.parquet")
    return f"parquet:{w}"


DATA = [
    (24, nan, "not finite"),
    (24, infinite, "not finite"),
    (25, lambda w: npz(w, images=np.full_like(PICTURES, 7), labels=LABELS), "is constant"),
    (26, mixed, "different sizes"),
    (27, truncated, "1 of 41 images cannot be read"),
    (27, truncated_late, "1 of 40 images cannot be read"),
    (27, lambda w: parquet(w, {"img": [*ENCODED[:-1], None]}), "1 of 40 images cannot be read"),
    (27, lambda w: parquet(w, {"img": [*ENCODED[:-1], b""]}), "1 of 40 images cannot be read"),
    (28, bomb, "1 of 41 images cannot be read"),
    (29, lambda w: npz(w, images=np.array([["a"]] * 9)), "shape"),
    (29, lambda w: npz(w, images=np.ones((9, 2, 2), dtype=complex)), "complex"),
    (29, lambda w: npz(w, images=np.full((9, 2, 2), 300)), "int64"),
    (29, lambda w: npz(w, images=np.full((9, 2, 2), 1.5)), "1.5"),
    (29, lambda w: npz(w, images=np.zeros((0, 2, 2), dtype=np.uint8)), "shape (0, 2, 2, 1)"),
    (29, lambda w: npz(w, images=np.zeros((9, 2), dtype=np.uint8)), "shape (9, 2)"),
    (30, lambda w: npz(w, images=PICTURES, labels=LABELS[:5]), "labels for 40 images"),
    (30, lambda w: npz(w, images=PICTURES, ids=np.arange(5)), "values of ids"),
    (30, lambda w: npz(w, images=PICTURES, attr_a=np.arange(5)), "5 values of a for 40 images"),
    (31, lambda w: npz(w, images=PICTURES, labels=LABELS * 0), "same class"),
    (31, lambda w: f"folder:{folder(w, names=('only',))}", "same class"),
    (32, lambda w: npz(w, images=PICTURES[:3], labels=LABELS[:3]), "3 images are too few"),
    (38, link_out, "leads out of the folder"),
    (41, pickled, "cannot be read"),
    (42, npz_bomb, "declares 2.0 GiB"),
    (43, pt_with_code, "no array of images"),
    (44, damaged_pages, ""),
    (44, npz_with_one_member_cut, "not an npz file"),
    (44, lambda w: parquet(w, {"a": [1, 2]}), "no column of images"),
    (44, lambda w: parquet(w, {"img": pa.array([], pa.binary())}), "no rows"),
    (44, shards_that_differ, "different columns"),
    (45, text_as_png, "1 of 41 images cannot be read"),
    (46, lambda w: w.mkdir() or f"folder:{w}", "holds no images"),
    (46, lambda w: w.mkdir() or f"parquet:{w}", "no .parquet file"),
    (46, lambda w: f"folder:{w}", "no such folder"),
    (46, lambda w: f"csv:{w}", "no such file"),
    (46, missing_files, "1 files of the table do not exist"),
    (46, lambda w: csv(w, pd.DataFrame({"a": [1]})), "no column of files"),
    (46, lambda w: csv(w, pd.DataFrame({"file": ["cat/0.png"], "label": [None]})), "no label"),
    (46, loose, "beside the class folders"),
    (46, lambda w: npz(w, other=PICTURES), "no array of images"),
    (46, lambda w: npz(w, images=PICTURES), "has no labels"),
]

# --- what is wrong with options and files of options --------------------------------------------


def yaml_file(text):
    def make(w):
        w.mkdir()
        (w / "c.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return ["discover", "digits", "--config", str(w / "c.yaml")]

    return make


def with_data(*arguments):
    return lambda w: [arguments[0], plain(w), *arguments[1:]]


DEEP = "[" * 20_000
CONFIG = [
    (53, lambda w: ["scroe", "digits"], "'score'"),
    (53, lambda w: ["score", "digits", "--tarjet", "label"], "--target"),
    (53, yaml_file("taks: 3"), "'tasks'"),
    (53, yaml_file("tasks: 3\nlearnr: mlp"), "'learner'"),
    (53, lambda w: ["discover", "shapes?m=4"], "unknown option 'm'"),
    (53, lambda w: ["discover", "digitz"], "'digits'"),
    (53, lambda w: ["score", "digits", "--target", "lable"], "cannot read the target"),
    (53, lambda w: ["score", "digits", "--target", "label:99"], "no class '99'"),
    (53, lambda w: ["score", "digits", "--target", "attr:x"], "no attribute"),
    (53, lambda w: ["score", "digits", *SCORE, "--learner", "convnett"], "'convnet'"),
    (53, lambda w: ["score", "digits", *SCORE, "--learner", "no.such:net"], "no.such"),
    (53, lambda w: ["score", "digits", *SCORE, "--vary", "seed"], "'seed'"),
    (53, lambda w: ["discover", "digits", "--exclude", "colur"], "'colour'"),
    (54, yaml_file("tasks: three"), "a whole number"),
    (54, yaml_file("tasks: true"), "a whole number"),
    (54, yaml_file("tasks: 3.5"), "a whole number"),
    (54, yaml_file("learner: [a]"), "text"),
    (54, yaml_file("learning_rate: .nan"), "learning_rate"),
    (54, yaml_file("- a"), "no mapping"),
    (54, yaml_file("a: [b"), "cannot be read"),
    (54, yaml_file(b"\xff\xfe\x00"), "cannot be read"),
    (54, yaml_file(DEEP), "cannot be read"),
    (54, yaml_file("!!python/object/apply:os.mkdir ['executed']"), "cannot be read"),
    (54, lambda w: ["discover", "digits", "--tasks", "0"], "tasks is 0"),
    (54, lambda w: ["discover", "digits", "--tasks", "many"], "whole number"),
    (54, lambda w: ["discover", "digits", "--seed", "-1"], "seed is -1"),
    (54, lambda w: ["score", "digits", *SCORE, "--runs", "1"], "from 2"),
    (54, lambda w: ["score", "digits", *SCORE, "--device", "tpu"], "cannot be 'tpu'"),
    (54, lambda w: ["score", "digits", *SCORE, "--learner", "mlp?width=wide"], "width"),
    (54, lambda w: ["score", "shapes?n=-3", *SCORE], "n"),
    (55, lambda w: ["score", "digits", "--target", "label", "--from", "x"], "one of the two"),
    (55, lambda w: ["score", "digits"], "--target"),
    (55, lambda w: ["split", "digits", "--target", "label"], "--from"),
    (55, lambda w: ["discover"], "no DATA"),
    (55, with_data("split", "--target", "label", "--from", "x.csv:t"), "no such file"),
]


def check(arguments, code, words, capfd):
    assert main(arguments) == code
    captured = capfd.readouterr()
    assert words in captured.err
    errors = [line for line in captured.err.splitlines() if line.strip()]
    begin = next(i for i, line in enumerate(errors) if line.startswith("error: "))
    assert all(line.startswith("warning: ") for line in errors[:begin])
    assert len(errors[begin:]) <= 3
    assert "hint: " in errors[-1]
    assert "Traceback" not in captured.err
    assert captured.out == ""


def ids(case):
    return str(case) if isinstance(case, int) else getattr(case, "__name__", "")


@pytest.mark.parametrize(("number", "make", "words"), DATA, ids=ids)
def test_bad_data_is_exit_3(number, make, words, tmp_path, monkeypatch, capfd):
    work, cache = tmp_path / "work", tmp_path / "cache"
    work.mkdir()
    monkeypatch.setenv("TASKDISCOVERY_CACHE", str(cache))
    monkeypatch.chdir(work)
    source = make(tmp_path / "data")
    check(["score", source, *SCORE, "--out", "run"], 3, words, capfd)
    assert not list(work.rglob("*")), "something was left behind"
    assert not list(cache.rglob("*.tmp"))
    assert not list(cache.glob(".building-*"))


@pytest.mark.parametrize(("number", "make", "words"), CONFIG, ids=ids)
def test_bad_options_are_exit_2(number, make, words, tmp_path, monkeypatch, capfd):
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    arguments = make(tmp_path / "data")
    code = 3 if words == "no such file" else 2
    check([*arguments, "--out", "run"] if len(arguments) > 1 else arguments, code, words, capfd)
    assert not list(work.rglob("*")), "something was left behind"


def test_there_are_sixty_cases_of_the_catalogue():
    assert len(DATA) + len(CONFIG) >= 60


# --- run directories ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small run with scores."""
    place = tmp_path_factory.mktemp("runs") / "one"
    fast = ["--learner", "linear", "--threads", "1", "--quiet"]
    assert (
        main(
            [
                "discover",
                "digits",
                "--method",
                "spectral",
                "--tasks",
                "3",
                *fast,
                "--out",
                str(place),
            ]
        )
        == 0
    )
    assert main(["score", "digits", "--from", str(place), "--preset", "smoke", *fast]) == 0
    return place


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def put(run, name, content):
    (run / name).write_bytes(content)


def refit_manifest(run, name):
    from taskdiscovery.store import manifest
    from taskdiscovery.store.place import Place

    manifest.write(Place(run), [name])


def test_verify_finds_nothing_in_a_good_run(run, capfd):
    assert main(["verify", str(run)]) == 0
    out = capfd.readouterr().out
    scores = "scores/tasks/scores.parquet"
    for name in ("tasks.parquet", "encoder.safetensors", scores, "result.json"):
        assert name in out
    assert main(["resume", str(run)]) == 0
    assert "nothing to resume" in capfd.readouterr().out


@pytest.mark.parametrize("name", ["tasks.parquet", "encoder.safetensors", "coordinates.parquet"])
@pytest.mark.parametrize("how", ["flip", "cut", "remove"])
def test_fault_16_verify_names_the_damaged_file_and_readers_refuse_it(run, name, how, capfd):
    content = bytearray((run / name).read_bytes())
    content[len(content) // 2] ^= 4
    if how == "remove":
        (run / name).unlink()
    else:
        put(run, name, bytes(content) if how == "flip" else bytes(content[:-7]))
    assert main(["verify", str(run), "--format", "json"]) == 4
    captured = capfd.readouterr()
    found = {row["file"]: row for row in json.loads(captured.out)}
    assert found[name]["state"] != "ok"
    assert found[name]["remedy"]
    assert found["result.json"]["state"] == "ok"
    command = {
        "encoder.safetensors": ["label", str(run), "digits"],
        "tasks.parquet": ["report", str(run)],
        "coordinates.parquet": ["score", "digits", "--from", str(run), "--preset", "smoke"],
    }[name]
    check(command, 4, "encoder" if name[0] == "e" else name, capfd)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", b"format: 99\ncommand: discover\n"),
        ("config.yaml", b"format: 1\ncommand: discover\n"),
        ("config.yaml", b"a: [b"),
        ("config.yaml", b"command: discover\n"),
        ("result.json", b"{"),
        ("result.json", b"[]"),
        ("status.json", b"\xff"),
        ("manifest.json", b"[1]"),
    ],
)
def test_fault_57_and_damaged_documents_are_exit_4_and_untouched(run, name, content, capfd):
    put(run, name, content)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    command = ["resume", str(run)] if name == "status.json" else ["report", str(run)]
    check(command, 4, "", capfd)
    after = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    assert {p: c for p, c in after.items() if p.name != ".lock"} == {
        p: c for p, c in before.items() if p.name != ".lock"
    }


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 100, b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ", b"\x00" * 8]
)
def test_fault_44_hostile_safetensors_whose_manifest_fits(run, content, capfd):
    put(run, "encoder.safetensors", content)
    refit_manifest(run, "encoder.safetensors")
    check(["label", str(run), "digits"], 4, "encoder cannot be read", capfd)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\xff" * 64 + b"PAR1"])
def test_fault_44_hostile_tables_whose_manifest_fits(run, content, capfd):
    put(run, "tasks.parquet", content)
    refit_manifest(run, "tasks.parquet")
    check(["score", "digits", "--from", str(run), "--preset", "smoke"], 4, "tasks.parquet", capfd)


def test_fault_43_labelings_from_pt_and_pickles_are_refused(tmp_path, monkeypatch, capfd):
    import torch

    monkeypatch.chdir(tmp_path)
    torch.save({"t": Trap()}, tmp_path / "t.pt")
    np.savez(tmp_path / "t.npz", t=np.array([Trap()] * 1797, dtype=object))
    for name in ("t.pt", "t.npz"):
        check(["score", "digits", "--from", name, "--preset", "smoke"], 3, "", capfd)
    assert not (tmp_path / "executed").exists()


def test_fault_39_names_of_runs_stay_inside(tmp_path, monkeypatch):
    from taskdiscovery.jobs.sink import next_run

    monkeypatch.chdir(tmp_path)
    place = next_run("discover", "../../etc/passwd?x=/root")
    assert place.resolve().parent == tmp_path / "runs"


def test_a_run_that_was_never_one(tmp_path, capfd):
    for command in (["resume"], ["verify"], ["report"]):
        check([*command, str(tmp_path)], 4, "not a run directory", capfd)
