"""The language of specifications."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskdiscovery.config.specs import parse
from taskdiscovery.errors import ConfigError, TaskDiscoveryError


def test_parts():
    spec = parse("shapes?n=50&seed=3")
    assert (spec.name, spec.kind, spec.path) == ("shapes", "shapes", "")
    assert spec.integer("n", 1, low=1, high=100) == 50
    assert spec.integer("size", 32, low=1, high=100) == 32


def test_a_path_keeps_its_colons_and_question_marks():
    spec = parse("folder:/a/b:c?d/e")
    assert (spec.kind, spec.path, dict(spec.options)) == ("folder", "/a/b:c?d/e", {})
    spec = parse("folder:/what?now?size=3")
    assert (spec.path, dict(spec.options)) == ("/what?now", {"size": "3"})


def test_unknown_option_names_the_nearest():
    with pytest.raises(ConfigError, match="widht") as caught:
        parse("convnet?widht=2").only({"width"})
    assert "'width'" in str(caught.value)


@pytest.mark.parametrize("text", ["", "  ", "a?b=1&c", "a?b=1&b=2"])
def test_unreadable(text):
    with pytest.raises(ConfigError):
        parse(text)


@pytest.mark.parametrize("value", ["x", "0", "1001", "nan", ""])
def test_out_of_range(value):
    with pytest.raises(ConfigError, match="width"):
        parse(f"convnet?width={value}").number("width", 1.0, low=0.001, high=1000)


@given(st.text(max_size=60))
def test_only_our_own_errors(text):
    with contextlib.suppress(TaskDiscoveryError):
        assert parse(text).text == text
