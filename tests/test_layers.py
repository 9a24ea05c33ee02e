"""Imports point one way, and the slow ones come late."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "taskdiscovery"

LAYERS = [
    {"errors", "types", "specs", "seeds", "config", "progress", "interrupts", "learners", "ranks"}
    | {"notebook"},
    {"rundir", "randomness", "partition", "shapes", "data", "networks", "augment"}
    | {"agreement", "subspace", "statistics", "metagrad"},
    {"journal"},
    {"training"},
    {"executors"},
    {"stage", "discovery"},
    {"scoring", "splits", "analysis"},
    {"results"},
    {"inputs"},
    {"jobs"},
    {"report"},
    {"demonstration"},
    {"cli", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
#: within a layer, who may import whom.
ALLOWED = {
    ("types", "errors"),
    ("types", "notebook"),
    ("ranks", "errors"),
    ("specs", "errors"),
    ("config", "errors"),
    ("config", "learners"),
    ("learners", "errors"),
    ("learners", "specs"),
    ("data", "shapes"),
    ("shapes", "data"),
    ("__main__", "cli"),
}


def imports_of(file):
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "taskdiscovery":
            yield from (alias.name for alias in node.names if alias.name != "__version__")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("taskdiscovery."):
            yield node.module.split(".")[1]


def test_every_module_has_a_layer():
    modules = {p.stem if p.is_file() else p.name for p in ROOT.iterdir() if p.name[0] != "_"}
    assert modules - {"py"} >= set(LEVEL) - {"__main__"}
    assert {m for m in modules if m != "py"} - set(LEVEL) == set()


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.py")), ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_point_one_way(file):
    own = file.relative_to(ROOT).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for other in imports_of(file):
        if other != own and (own, other) not in ALLOWED:
            assert LEVEL[other] < LEVEL[own], f"{own} imports {other}"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["score", "--help"],
        ["score", "digits", "--tarjet", "label"],
        ["discover", "parquet:/no/such/file"],
        ["discover", "digits", "--tasks", "0"],
        ["split", "digits", "--target", "label", "--from", "/"],
        ["score", "digits", "--target", "label", "--learner", "convnett"],
        ["score", "digits", "--target", "label", "--learner", "convnet?widht=2"],
        ["score", "csv:/etc/hostname", "--target", "label"],
        ["score", "npz:/etc/hostname", "--target", "label"],
        ["score", "parquet:/etc/hostname", "--target", "label"],
        ["info", "folder:/no/such/folder"],
        ["resume", "/no/such/run"],
        ["verify", "/no/such/run"],
    ],
)
def test_mistakes_are_found_before_torch_is_imported(arguments):
    program = (
        "import sys; from taskdiscovery.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "sys.exit(' '.join({'torch', 'pandas', 'sklearn', 'scipy'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_the_table_of_faults_names_tests_that_exist():
    root = ROOT.parents[1]
    table = (root / "docs" / "reliability.md").read_text("utf-8")
    named = set(re.findall(r"`(test_\w+)`", table))
    written = "\n".join(p.read_text("utf-8") for p in (root / "tests").glob("test_*.py"))
    assert named
    assert {name for name in named if f"def {name}(" not in written} == set()
    numbers = [int(n) for n in re.findall(r"^\| (\d+)", table, re.M)]
    assert set(range(1, 61)) - set(numbers) - {59, 60} == set()
