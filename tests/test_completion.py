"""The completion scripts, read by the shells that they are for, with keys typed at a terminal."""

import argparse
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from taskdiscovery.cli import main, shells
from taskdiscovery.cli.completion import commands
from taskdiscovery.cli.parser import COMMANDS, build

SHELLS = ("bash", "zsh", "fish")
#: how each begins without anything of the user's, and reads the script; `taskdiscovery` then
#: prints what it was called with.
START = {
    "bash": (["bash", "--norc", "--noprofile"], "bind 'set bell-style none'"),
    "zsh": (
        ["zsh", "-f", "-i"],
        "autoload -Uz compinit && compinit -u -D; unsetopt beep auto_remove_slash",
    ),
}
SHOWN = {
    "bash": "taskdiscovery() { printf 'GO''T'; printf '<%s>' \"$@\"; echo; }",
    "zsh": "taskdiscovery() { printf 'GO''T'; printf '<%s>' \"$@\"; echo }",
}
#: what is typed, and the words that the command gets; ^ is Tab. All but one word has one end.
TYPED = {
    "disco^": ["discover"],
    "com^il": None,  # compare and completion: nothing is added but what both begin with
    "completion fi^": ["completion", "fish"],
    "--vers^": ["--version"],
    "discover dig^": ["discover", "digits"],
    "discover digits --meth^pur^": ["discover", "digits", "--method", "pursuit"],
    "discover digits --method=pur^": ["discover", "digits", "--method=pursuit"],
    "audit --targ^lab": ["audit", "--target", "lab"],
    "split digits --orient^op^": ["split", "digits", "--orientation", "opposite"],
    "score digits --no-earl^": ["score", "digits", "--no-early"],
    "report ru^fi^": ["report", "runs/first/"],
    "discover parq^a\\ w^": ["discover", "parquet:a work.parquet"],
    "discover folder:pho^": ["discover", "folder:photos/"],
    "info pho^": ["info", "photos/"],
    "discover digits --out run^": ["discover", "digits", "--out", "runs/"],
    "info digits --size ph^": ["info", "digits", "--size", "ph"],
    "show runs/first --form^cs^": ["show", "runs/first", "--format", "csv"],
}


def need(shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")


@pytest.fixture(scope="module")
def parser():
    return build()


@pytest.fixture(scope="module")
def scripts(parser, tmp_path_factory):
    place = tmp_path_factory.mktemp("scripts")
    for shell in SHELLS:
        (place / shell).write_text(shells.script(shell, parser), "utf-8")
    return place


@pytest.fixture
def here(tmp_path):
    for folder in ("photos", "runs/first"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "a work.parquet").touch()
    return tmp_path


def test_every_command_and_option_is_offered(parser):
    found = list(commands(parser))
    assert tuple(command.name for command in found) == COMMANDS
    own = {command.name: command for command in found}
    values = {o.flags[0]: o.value for o in own["discover"].options}
    assert values["--method"].words == ("power", "spectral", "pursuit", "meta")
    assert values["--device"].words == ("auto", "cpu", "cuda")  # cuda:N is none
    assert values["--quiet"] is None
    assert (values["--out"].paths, values["--config"].paths) == ("folders", "files")
    assert values["--tasks"].words == () == own["doctor"].places
    assert own["resume"].places[0].paths == "folders"
    for shell in SHELLS:
        script = shells.script(shell, parser)
        for command in found:
            for option in command.options:
                flag = option.flags[0]
                assert (flag if shell != "fish" else flag[2:]) in script


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_printed_that_its_shell_understands(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"{'%' * 2} of" not in script
    need(shell)
    done = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_several_values_and_repeated_options_are_offered_again(shell, tmp_path, here):
    """Of a parser that has them, as `report RUN RUN --split A --split B`."""
    need(shell)
    parser = argparse.ArgumentParser(prog="taskdiscovery")
    report = parser.add_subparsers(dest="command").add_parser("report", help="[a page]: of 'runs'")
    report.add_argument("runs", metavar="RUN", nargs="+", type=Path)
    report.add_argument("--split", action="append", choices=("low", "high"), help="it's 100 %% [x]")
    (tmp_path / shell).write_text(shells.script(shell, parser), "utf-8")
    line = "taskdiscovery report runs/first ru^fi^ --split low --split hi^"
    if shell == "fish":
        program = f"source {tmp_path / shell}; complete -C 'taskdiscovery report runs/first ru'; "
        program += "complete -C 'taskdiscovery report runs/first --split low --split hi'"
        words = ["fish", "-N", "-c", program]
        done = subprocess.run(words, cwd=here, capture_output=True, text=True)
        offers = [line.split("\t")[0] for line in done.stdout.splitlines()]
        assert offers == ["runs/", "high"]
        return
    terminal = Terminal(START[shell][0], here)
    try:
        terminal.send(
            f"{START[shell][1]}\n{SHOWN[shell]}\nsource {tmp_path / shell}; echo RE''ADY\n"
        )
        terminal.read("READY")
        terminal.send(line.replace("^", "\t") + "\n")
        got = re.findall("<(.*?)>", terminal.read(r"GOT(<.*>)+\r?\n").group())
        joined = " ".join(got).replace("=", " ")
        assert joined == "report runs/first runs/first/ --split low --split high"
    finally:
        terminal.end()


def test_another_shell_is_refused(capsys):
    assert main(["completion", "tcsh"]) == 2
    assert "choose from 'bash', 'zsh', 'fish'" in capsys.readouterr().err


class Terminal:
    """A shell at a terminal, to which keys are sent and whose output is read."""

    def __init__(self, words, cwd):
        # A terminal that can do nothing has no colours, bells or marks of pasted text.
        environment = {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(cwd), "PS1": "> "}
        pid, self.fd = pty.fork()
        if pid == 0:
            os.chdir(cwd)
            os.execvpe(words[0], words, {**environment, "LANG": "C.UTF-8"})
        self.pid = pid

    def send(self, text):
        os.write(self.fd, text.encode())

    def read(self, until, seconds=20.0):
        """Return what comes up to what the pattern finds."""
        text, end = "", time.monotonic() + seconds
        while not (found := re.search(until, text)):
            ready, _, _ = select.select([self.fd], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"no {until} in {text!r}")
            text += os.read(self.fd, 65536).decode("utf-8", "replace")
        return found

    def end(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


@pytest.mark.parametrize("shell", START)
def test_keys_at_a_terminal_are_completed(shell, scripts, here):
    need(shell)
    words, settings = START[shell]
    terminal = Terminal(words, here)
    try:
        terminal.send(f"{settings}\n{SHOWN[shell]}\nsource {scripts / shell}; echo REA''DY\n")
        terminal.read("READY")
        for typed, wanted in TYPED.items():
            terminal.send(f"taskdiscovery {typed.replace('^', chr(9))}\n")
            got = re.findall("<(.*?)>", terminal.read(r"GOT(<.*>)+\r?\n").group())
            if wanted is not None:
                joined = " ".join(got).replace("=", " ")  # zsh joins a flag and its value
                assert joined == " ".join(wanted).replace("=", " "), typed
            else:
                assert got[0].startswith("com"), typed
    finally:
        terminal.end()


def test_bash_lists_what_there_is(scripts, here):
    program = f"""
        source {scripts / "bash"}
        COMP_WORDS=(taskdiscovery show runs/first --format '') COMP_CWORD=4
        _taskdiscovery
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", program], cwd=here, capture_output=True, text=True)
    assert done.stdout.split() == ["table", "json", "csv"]


#: what fish offers for a line: all of it, in order of the alphabet; … for more.
OFFERED = {
    "disco": ["discover"],
    "com": ["compare", "completion"],
    "completion ": ["bash", "fish", "zsh"],
    "discover digits --method ": ["meta", "power", "pursuit", "spectral"],
    "discover digits --method=pur": ["--method=pursuit"],
    "split digits --orient": ["--orientation"],
    "report ru": ["runs/"],
    "report runs/": ["runs/first/"],
    "discover folder:pho": ["folder:photos/"],
    "discover parq": ["parquet:"],
    "info digits --size ": [],
    "doctor --de": ["--debug"],
}


def test_fish_offers_what_there_is(scripts, here):
    need("fish")
    program = [f"source {scripts / 'fish'}"]
    for line in OFFERED:
        program += ["echo '#'", f"complete -C 'taskdiscovery {line}'"]
    environment = {**os.environ, "HOME": str(here), "XDG_CONFIG_HOME": str(here / "c")}
    done = subprocess.run(
        ["fish", "-N", "-c", "; ".join(program)],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    parts = done.stdout.split("#\n")[1:]
    for (line, wanted), part in zip(OFFERED.items(), parts, strict=True):
        assert sorted(offer.split("\t")[0] for offer in part.splitlines()) == wanted, line
    assert "find tasks on which a learner generalizes" in parts[0]


def test_the_module_is_the_command(tmp_path):
    """`python -m taskdiscovery` prints the same script, in a folder that holds other modules."""
    (tmp_path / "argparse.py").write_text("raise SystemExit('a stranger')\n", "utf-8")
    words = [sys.executable, "-m", "taskdiscovery", "completion", "bash"]
    source = str(Path(__file__).parents[1] / "src")
    environment = {**os.environ, "PYTHONPATH": source}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == shells.script("bash", build())
