"""The options of every subcommand, made from the config classes: one source, one name."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from taskdiscovery.config import (
    CONFIGS,
    JobConfig,
    base_type,
    flag_of,
    from_mapping,
    key_of,
    read_config,
)
from taskdiscovery.errors import ConfigError, nearest

DATA_HELP = (
    "digits, shapes?n=5000, folder:PATH, parquet:PATH, npz:PATH, csv:PATH, hf:NAME, "
    "torchvision:NAME, package.module:function"
)
_EXAMPLES = {
    "discover": "taskdiscovery discover parquet:train.parquet --tasks 16 --out runs/cifar",
    "score": "taskdiscovery score parquet:train.parquet --target label:0,1,2,3,4",
    "split": "taskdiscovery split folder:photos --target label --from runs/photos",
}
_HELP = {
    "discover": "find tasks on which a learner generalizes",
    "score": "agreement scores of labelings, random labels beside them",
    "split": "a train-test split that breaks a learner, beside its controls",
}


class Parser(argparse.ArgumentParser):
    """argparse whose errors are ours: what, where, and the nearest option."""

    def error(self, message: str) -> NoReturn:
        """Raise a ConfigError in place of printing the usage."""
        known = sorted(_options(self))
        mend = f"see {self.prog} --help"
        if message.startswith("unrecognized arguments:"):
            word = message.split(": ", 1)[1].split()[0].split("=")[0]
            if word.startswith("-"):
                mend = nearest(word, known)
        elif "invalid choice" in message and "argument COMMAND" in message:
            word = message.split("invalid choice: ")[1].split("'")[1]
            mend = nearest(word, COMMANDS)
        raise ConfigError(message, where=self.prog, mend=mend)


def _options(parser: argparse.ArgumentParser) -> set[str]:
    """All options of a parser and of its subcommands, whose errors end up in the parent."""
    found: set[str] = set()
    for action in parser._actions:
        found.update(s for s in action.option_strings if s.startswith("--"))
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                found |= _options(child)
    return found


COMMANDS = (
    "demo",
    "info",
    "score",
    "discover",
    "label",
    "split",
    "analyze",
    "report",
    "resume",
    "verify",
    "doctor",
)


def build() -> Parser:
    """Build the parser of all subcommands."""
    common = Parser(add_help=False)
    common.add_argument("--quiet", action="store_true", help="no progress, no warnings")
    common.add_argument("--debug", action="store_true", help="show tracebacks")
    parser = Parser(
        prog="taskdiscovery",
        description="Find the tasks that a neural network generalizes on, and the splits that "
        "break it.",
        epilog="Start with: taskdiscovery demo",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)

    def add(name: str, help: str, **more: Any) -> Parser:
        return commands.add_parser(
            name, help=help, description=help, parents=[common], allow_abbrev=False, **more
        )

    demo = add("demo", "the whole pipeline on embedded data, ending with a report")
    demo.add_argument("data", nargs="?", default="digits", metavar="DATA", help="default: digits")
    demo.add_argument("--out", type=Path, default=None, help="default: the next runs/demo-N")

    info = add("info", "what is read: counts, sizes, labels, attributes, problems")
    _data(info)
    _reading(info)
    _format(info)

    for name, config in CONFIGS.items():
        if name == "analyze":
            continue
        command = add(name, _HELP[name], epilog=f"Example: {_EXAMPLES[name]}")
        _data(command, optional=True)
        groups: dict[str, Any] = {"": command}
        for item in fields(config):
            title = item.metadata["group"]
            if title not in groups:
                groups[title] = command.add_argument_group(f"{title} options")
            _option(groups[title], config, item)
        command.add_argument("--out", type=Path, metavar="DIR", help=_OUT_HELP[name])
        command.add_argument("--config", type=Path, metavar="FILE", help=_CONFIG_HELP[name])
        command.add_argument(
            "--print-config", action="store_true", help="print the options as YAML, and stop"
        )
        _format(command)

    label = add("label", "the tasks of a run on other images")
    label.add_argument("run", type=Path, metavar="RUN", help="a run directory of discover")
    _data(label)
    _reading(label)
    label.add_argument("--learner", default="", help="say that the run's own factory is trusted")
    label.add_argument("--out", type=Path, metavar="FILE", help="FILE.csv or FILE.parquet")

    analyze = add("analyze", "evidence for what each task of a run is about")
    analyze.add_argument("run", type=Path, metavar="RUN", help="a run directory of discover")
    analyze.add_argument("--data", help="DATA, where it is not where the run found it")
    for item in fields(CONFIGS["analyze"]):
        if item.name in ("images", "probe_images", "text_model", "seed", "threads"):
            _option(analyze, CONFIGS["analyze"], item)
    _format(analyze)

    report = add("report", "one HTML file of a run: report.html")
    report.add_argument("run", type=Path, metavar="RUN", help="a run directory of discover")
    report.add_argument("--data", help="DATA, where it is not where the run found it")

    resume = add("resume", "go on with the job of a run that was stopped")
    resume.add_argument("run", type=Path, metavar="RUN", help="its run directory")
    resume.add_argument("--data", help="DATA, where it is no longer where the run found it")
    resume.add_argument(
        "--change-ranks",
        action="store_true",
        help="go on with another number of torchrun's processes; the result is marked as not exact",
    )

    verify = add("verify", "each file of a run against what was committed")
    verify.add_argument("run", type=Path, metavar="RUN", help="a run directory")
    _format(verify)

    add("doctor", "what this machine has, and what to expect of it")
    return parser


_CONFIG_HELP = {
    "discover": "YAML of these options; `published` is what the paper's code sets (--method meta)",
    "score": "YAML of these options",
    "split": "YAML of these options",
}
_OUT_HELP = {
    "discover": "new run directory (default: the next runs/discover-LEARNER-N)",
    "score": "new run directory (default: the run of --from, else nothing is written)",
    "split": "new run directory (default: the run of --from, else the next runs/split-LEARNER-N)",
}


def config_of(command: str, arguments: dict[str, Any]) -> tuple[str, JobConfig]:
    """Merge `--config` and the options given; return DATA and the config.

    Raises:
        ConfigError: for an unreadable file, an unknown key, no DATA.
    """
    kind = CONFIGS[command]
    values: dict[str, Any] = {}
    file: Path | None = arguments.get("config")
    if file is not None:
        values = read_config(file)
    data = arguments.get("data") or values.pop("data", None)
    values.pop("data", None)
    for ignored in ("format", "command"):
        values.pop(ignored, None)
    values |= {key_of(f): arguments[f.name] for f in fields(kind) if f.name in arguments}
    if not isinstance(data, str) or not data:
        raise ConfigError("no DATA is given", where=f"taskdiscovery {command}", mend=DATA_HELP)
    return data, from_mapping(kind, values, str(file) if file else f"taskdiscovery {command}")


def _option(parser: argparse._ActionsContainer, config: type[JobConfig], item: Any) -> None:
    limits = item.metadata
    expected, _ = base_type(config, item)
    flag = flag_of(key_of(item))
    default = "" if item.default in (None, "") else f" (default: {item.default})"
    common = {"dest": item.name, "default": argparse.SUPPRESS, "help": limits["help"] + default}
    common["help"] = common["help"].replace("%", "%%")
    if expected is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, **common)
        return
    if limits["choices"]:
        common["metavar"] = "|".join(limits["choices"])
    elif limits["metavar"]:
        common["metavar"] = limits["metavar"]
    parser.add_argument(flag, type=_converter(expected, flag), **common)


def _converter(expected: type, flag: str) -> Any:
    def convert(text: str) -> Any:
        try:
            return expected(text)
        except ValueError:
            kind = "a whole number" if expected is int else "a number"
            raise ConfigError(
                f"{flag} must be {kind}, got {text!r}", where=flag, mend=f"give {kind}"
            ) from None

    return convert


def _data(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    parser.add_argument("data", nargs="?" if optional else None, metavar="DATA", help=DATA_HELP)


def _reading(parser: argparse.ArgumentParser) -> None:
    for item in fields(JobConfig):
        if item.name in ("size", "skip_bad"):
            _option(parser, JobConfig, item)


def _format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        choices=("table", "json", "csv"),
        default="table",
        help="how results are printed on stdout",
    )
