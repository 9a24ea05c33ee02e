"""Readers and parsers under arbitrary bytes: a result, or an error of our own. Never anything else.

`make fuzz` looks for more with coverage as its guide; what it found is in `crashes/`.
"""

import contextlib
from pathlib import Path

import pytest
import yaml
from benchmarks.fuzz import READERS, read, seeds
from hypothesis import given
from hypothesis import strategies as st

from taskdiscovery.config import from_mapping
from taskdiscovery.errors import ConfigError, DataError
from taskdiscovery.jobs import CONFIGS

CRASHES = sorted((Path(__file__).parent / "crashes").glob("*-*"))
SEEDS = seeds()


@pytest.mark.parametrize("kind", READERS)
def test_the_seeds_are_read(kind):
    if kind in ("npz", "image", "parquet", "csv", "labelings", "config"):
        assert any(read(kind, content) for content in SEEDS[kind]) or kind == "csv"


@pytest.mark.parametrize("file", CRASHES, ids=lambda f: f.name)
def test_what_crashed_once(file):
    read(file.name.split("-")[0], file.read_bytes())


@pytest.mark.parametrize("kind", READERS)
@given(data=st.data())
def test_damaged_files(kind, data):
    """A good file with some bytes changed, cut, or put in."""
    content = bytearray(data.draw(st.sampled_from(SEEDS[kind])))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(0, len(content) - 1)))
        new = data.draw(st.binary(max_size=4))
        content[place : place + data.draw(st.integers(0, 4))] = new
    read(kind, bytes(content))


@pytest.mark.parametrize("kind", READERS)
@given(content=st.binary(max_size=200))
def test_arbitrary_bytes(kind, content):
    read(kind, content)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=5), SCALARS)


@pytest.mark.parametrize("command", CONFIGS)
@given(data=st.data())
def test_arbitrary_configs(command, data):
    from taskdiscovery.config import key_of, options
    from taskdiscovery.discovery import METHODS

    kind = CONFIGS[command]
    methods = {kind.NESTED: METHODS} if kind.NESTED else {}
    kinds = [kind, *(method for known in methods.values() for method in known.values())]
    keys = [*methods, *(key_of(item) for each in kinds for item in options(each))]
    names = st.sampled_from(keys) | st.text(max_size=8)
    values = data.draw(st.dictionaries(names, VALUES, max_size=4))
    with contextlib.suppress(ConfigError):
        from_mapping(CONFIGS[command], values, "test")


@given(st.text(max_size=60))
def test_arbitrary_specifications(text):
    from taskdiscovery import data

    with contextlib.suppress(ConfigError, DataError):
        data.check_spec(text)


@given(st.recursive(SCALARS, lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(), c)))
def test_arbitrary_yaml(document):
    try:
        text = yaml.safe_dump(document)
    except (yaml.YAMLError, ValueError):
        return
    read("config", text.encode("utf-8", "surrogatepass"))
