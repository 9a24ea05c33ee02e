"""Faults planted into a copy of the package, to see that the suite finds them. `make test-slow`."""

import shutil
from pathlib import Path

import pytest

from started import Started

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]

LOCKS = "test_fault_13_and_14_a_second_process_is_refused_and_a_dead_one_leaves_no_lock"
PLANTED = {
    "writes in place": (
        "store/place.py",
        'temporary = f".{step}.{secrets.token_hex(4)}{TEMPORARY}"',
        "temporary = step; self.remove(name)",
        "tests/test_jobs.py::test_writing_is_whole_or_not_at_all",
    ),
    "does not sync": (
        "store/place.py",
        "                    os.fsync(stream.fileno())\n",
        "",
        "tests/test_journal.py::test_the_order_of_one_commit",
    ),
    "locks by age": (
        "store/place.py",
        "disk.lock(stream)",
        "import time\n"
        "                young = time.time() - os.fstat(stream.fileno()).st_mtime < 3600\n"
        "                if stream.read(1) and young: raise OSError",
        f"tests/test_jobs.py::{LOCKS}",
    ),
    "forgets a random state": (
        "training/state.py",
        '        self.order.set_state(torch.from_numpy(arrays["order"].copy()))\n',
        "",
        "tests/test_journal.py::test_stopped_and_resumed_equals_never_stopped",
    ),
    "forgets the global random states": (
        "runtime/random_states.py",
        '    torch.set_rng_state(torch.from_numpy(states["torch"].copy()))\n',
        "",
        "tests/test_journal.py::test_stopped_and_resumed_equals_never_stopped",
    ),
    "does not escape": (
        "reporting/rendering.py",
        "autoescape=True",
        "autoescape=False",
        "tests/test_report.py::test_faults_58_to_60_names_are_inert_and_nothing_is_fetched",
    ),
    "unpickles": (
        "data/formats/archives.py",
        "size, text = _declared(stream, entry)",
        "size, text = 0, np.lib.format.read_array(stream, allow_pickle=True) is None",
        "tests/test_data.py::test_fault_41_pickles_are_never_executed",
    ),
}


def outcome(sources, *tests):
    """Run tests of the suite on a copy of the package; return the exit code and what is printed."""
    command = ["-m", "pytest", "-x", "-q", *(ROOT / test for test in tests)]
    process = Started(*command, env={"PYTHONPATH": str(sources)}, cwd=ROOT)
    printed = process.communicate(timeout=300)[0].decode()
    return process.returncode, printed


def test_a_copy_without_a_planted_fault_passes(tmp_path):
    """All tests that are to find the faults, in one go: so what fails below fails for its fault."""
    shutil.copytree(ROOT / "src", tmp_path / "src")
    code, printed = outcome(tmp_path / "src", *dict.fromkeys(own[-1] for own in PLANTED.values()))
    assert code == 0, printed[-2000:]
    assert " skipped" not in printed


@pytest.mark.parametrize("name", PLANTED)
def test_the_suite_finds_a_planted_fault(name, tmp_path):
    file, old, new, tests = PLANTED[name]
    shutil.copytree(ROOT / "src", tmp_path / "src")
    patched = tmp_path / "src" / "taskdiscovery" / file
    source = patched.read_text("utf-8")
    assert source.count(old) == 1, "the fault can no longer be planted where it was"
    patched.write_text(source.replace(old, new), "utf-8")
    code, printed = outcome(tmp_path / "src", tests)
    assert code == 1, printed[-2000:]
    assert "FAILED" in printed or "ERROR" in printed
