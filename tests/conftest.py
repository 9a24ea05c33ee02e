"""Fixtures that all tests share: a private cache, one thread, no GPU, hypothesis as it was."""

import logging
import os
import sys
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported: a core for each worker
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# The numbers that tests know are those of the CPU, whatever this machine has.
if os.environ.get("TASKDISCOVERY_TEST_GPU") != "1":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

import pytest
from hypothesis import settings

settings.register_profile("fixed", derandomize=True, deadline=None, database=None, max_examples=50)
settings.load_profile("fixed")

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory):
    os.environ["TASKDISCOVERY_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))  # the key of seals


@pytest.fixture(autouse=True)
def _one_thread():
    """A test may set the threads of its process; two of two threads each wait on each other."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(autouse=True)
def _nobody_outlives_the_test():
    """A test that fails must not leave processes behind, which would slow down all others."""
    yield
    if started := sys.modules.get("started"):
        started.end_all()


@pytest.fixture(autouse=True)
def _logger_as_in_a_library():
    """The command line sets the package's logger up for its process; here tests share one."""
    logger = logging.getLogger("taskdiscovery")
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def cifar():
    path = SHARED / "cifar10" / "test.parquet"
    if not path.exists():
        pytest.skip("CIFAR-10 is not at hand (../shared/data/cifar10)")
    return path


@pytest.fixture(scope="session")
def photographs():
    path = SHARED / "imagenette"
    if not path.exists():
        pytest.skip("the photographs are not at hand (../shared/data/imagenette)")
    return path


@pytest.fixture(scope="session")
def digits():
    from taskdiscovery import data

    return data.load("digits")
