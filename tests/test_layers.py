"""Imports point one way, and the slow ones come late."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from benchmarks import structure

import taskdiscovery as td

ROOT = structure.SOURCE
#: the floors, from the ground up: a room imports rooms of lower floors only. Rooms that share a
#: floor know nothing of each other.
FLOORS = [
    {"errors"},
    {"plots"},  # plain numbers to figures: values draw themselves by it
    {"types"},
    {"agreement", "runtime"},
    {"config"},
    {"data", "networks", "metagrad"},
    {"features"},
    {"encoders"},
    {"store"},
    {"training"},
    {"executors"},
    {"discovery"},
    {"splits", "analysis", "scoring"},
    {"auditing", "estimation"},
    {"jobs"},
    {"reporting", "loggers", "exports"},
    {"api"},
    {"scikit"},
    {"cli"},
    {"__main__"},
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
FILES = structure.modules(ROOT)
TREES = {name: ast.parse(file.read_text("utf-8")) for name, file in FILES.items()}
VERBS = ("load", "discover", "score", "split", "analyze", "label", "report", "open_run", "resume")
VERBS += ("embed", "compare", "discard", "fit", "load_fitted", "info", "audit", "plant", "estimate")
VERBS += ("stress",)


def room(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def test_every_module_has_a_floor():
    assert {room(name) for name in FILES} - {""} == set(FLOOR)


@pytest.mark.parametrize("module", sorted(set(FILES) - {"taskdiscovery"}))
def test_imports_point_one_way(module):
    for other in structure.imported(TREES[module], FILES):
        if room(other) and room(other) != room(module):
            assert FLOOR[room(other)] < FLOOR[room(module)], f"{module} imports {other}"


def test_nothing_imports_in_a_circle():
    edges = {
        name: {other for other in structure.imported(tree, FILES) if other != name}
        for name, tree in TREES.items()
    }
    assert structure.cycles(edges) == []
    edges["taskdiscovery.errors"] = {"taskdiscovery.types.tasks"}  # and one would be found
    assert "taskdiscovery.errors" in structure.cycles(edges)[0]


def test_the_package_stays_easy_to_find_ones_way_in():
    found = structure.measure(ROOT)
    assert len(found["loose_modules"]) <= 6
    # Public verbs are signature and docstring: their length is that of their options.
    assert len(found["functions_over_60_lines"]) <= 3
    assert found["functions_of_more_than_6_parameters"] == []
    assert found["untyped_mappings"] <= 30
    assert found["median_file"] < 130


def test_no_module_takes_the_name_of_a_public_verb():
    """Importing a submodule sets its name on its package: a verb of that name would be gone."""
    for name in FILES:
        if find_spec("triton") or not name.endswith((".kernels", ".fused_norm")):
            importlib.import_module(name)
    for verb in VERBS:
        assert inspect.isfunction(getattr(td, verb)), verb
    with pytest.raises(td.ConfigError):
        td.discover("digits", tasks=0)
    for name in td.__all__:
        assert getattr(td, name) is not None
    assert set(td.__all__) == set(td._HOME)


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
        ["estimate", "digits"],
        ["estimate", "digits", "--on", "folder:/no/such/folder"],
        ["estimate", "digits", "--on", "digits", "--from", "/no/such/run"],
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


@pytest.mark.parametrize("page", ["reliability.md", "architecture.md"])
def test_documents_name_tests_that_exist(page):
    root = Path(__file__).parents[1]
    named = set(re.findall(r"`(test_\w+)`", (root / "docs" / page).read_text("utf-8")))
    written = "\n".join(p.read_text("utf-8") for p in (root / "tests").glob("test_*.py"))
    assert named
    assert {name for name in named if f"def {name}(" not in written} == set()


def test_the_table_of_faults_is_whole():
    table = (Path(__file__).parents[1] / "docs" / "reliability.md").read_text("utf-8")
    numbers = [int(n) for n in re.findall(r"^\| (\d+)", table, re.M)]
    assert set(range(1, 61)) - set(numbers) - {59, 60} == set()
