"""Progress as lines: rarely, only of what takes long, and nothing that a terminal would obey."""

import sys

import pytest

from taskdiscovery.cli import main
from taskdiscovery.runtime import progress_bar
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.runtime.progress_bar import (
    VARIABLE,
    ProgressBar,
    callbacks_of,
    callbacks_of_command,
)
from taskdiscovery.runtime.progress_lines import ProgressLines, duration


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def lines_of(steps, seconds, total=None, note=""):
    """What is written of a stage of so many steps, each so many seconds long."""
    clock, written = Clock(), []
    told = Callbacks([ProgressLines(written.append, clock=clock)])
    with told.stage("scoring", steps if total is None else total) as meter:
        for _ in range(steps):
            clock.now += seconds
            meter.advance(1, note)
    return written


def test_a_line_comes_once_in_half_a_minute_and_at_the_end():
    written = lines_of(100, 1.0, note="task_001: 0.934")
    assert written == [
        "scoring: 30% (30 of 100), 30 s passed, about 70 s left; task_001: 0.934",
        "scoring: 60% (60 of 100), 60 s passed, about 40 s left; task_001: 0.934",
        "scoring: 90% (90 of 100), 90 s passed, about 10 s left; task_001: 0.934",
        "scoring: ended after 2 min; task_001: 0.934",
    ]


def test_what_is_short_is_silent():
    assert lines_of(290, 0.1) == []


def test_steps_that_take_longer_are_told_one_by_one():
    assert len(lines_of(3, 4000)) == 3 + 1


def test_a_total_that_is_none_or_too_small_does_no_harm():
    assert lines_of(1, 40, total=0.0)[0].startswith("scoring: 100% (1 of 0)")
    assert "100% (2 of 1)" in lines_of(2, 40, total=1)[1]


def test_durations():
    assert [duration(s) for s in (0, 99, 100, 5900, 12000)] == [
        *("0 s", "99 s", "2 min", "98 min"),
        "3 h 20 min",
    ]


def test_lines_go_to_stderr_and_hold_nothing_that_a_terminal_obeys(capfd):
    clock = Clock()
    lines = ProgressLines(clock=clock)
    lines.on_stage_start("\x1b]0;x\x07", 2)
    clock.now = 31
    lines.on_progress("\x1b]0;x\x07", 1, "a\nerror: forged")
    out, err = capfd.readouterr()
    assert out == ""
    assert "\x1b" not in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("wanted", "kinds"), [("bar", [ProgressBar]), ("lines", [ProgressLines]), ("off", [])]
)
def test_the_environment_decides(wanted, kinds, monkeypatch):
    monkeypatch.setenv(VARIABLE, wanted)
    assert [type(c) for c in callbacks_of_command().callbacks] == kinds


def test_lines_where_nobody_looks_and_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    for looked_at, kind in ((False, ProgressLines), (True, ProgressBar)):
        monkeypatch.setattr(
            "taskdiscovery.runtime.progress_bar.interactive", lambda seen=looked_at: seen
        )
        assert [type(c) for c in callbacks_of_command().callbacks] == [kind]


def test_another_word_is_refused(monkeypatch, capfd):
    monkeypatch.setenv(VARIABLE, "line")
    assert main(["info", "digits"]) == 2
    assert "did you mean 'lines'?" in capfd.readouterr().err


def test_a_job_in_a_log_tells_of_itself(monkeypatch, capfd):
    """Of a whole command, with every step counted as ten seconds."""
    clock = Clock()

    def later():
        clock.now += 10
        return clock.now

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(ProgressLines.__init__, "__kwdefaults__", {"every": 30.0, "clock": later})
    brief = ["--preset", "smoke", "--learner", "linear", "--threads", "1", "--epochs", "6"]
    assert main(["score", "shapes?n=240&size=8", "--target", "label", *brief]) == 0
    err = capfd.readouterr().err.splitlines()
    assert any(line.startswith("scoring: ") and "left" in line for line in err)
    assert any("scoring: ended after" in line for line in err)


@pytest.mark.parametrize(
    ("widgets", "wanted", "shown"),
    [(True, "", [ProgressBar]), (False, "", [ProgressLines]), (True, "off", [])],
)
def test_a_notebook_gets_a_bar_only_where_it_can_show_one(monkeypatch, widgets, wanted, shown):
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    monkeypatch.setattr(progress_bar, "find_spec", lambda name: object() if widgets else None)
    monkeypatch.setenv(VARIABLE, wanted)
    assert [type(callback) for callback in callbacks_of(None).callbacks] == shown
