"""The options of every subcommand, made from the config classes: one source, one name."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from taskdiscovery.config import (
    OF_DATA,
    AuditConfig,
    CompareConfig,
    DataConfig,
    JobConfig,
    Options,
    WorkConfig,
    flag_of,
    from_mapping,
    key_of,
    options,
    read_config,
)
from taskdiscovery.config.options import base_type, number_text
from taskdiscovery.discovery import METHODS, Method
from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.exports import FORMS
from taskdiscovery.features import is_backbone
from taskdiscovery.features.alone import KIND as ALONE
from taskdiscovery.jobs import CONFIGS
from taskdiscovery.jobs.looking import own_data, with_features_beside, with_usual_features
from taskdiscovery.jobs.specs import split_run_task
from taskdiscovery.loggers import KINDS as LOGGERS
from taskdiscovery.types import Document

DATA_HELP = (
    "digits, shapes?n=5000, folder:PATH, parquet:PATH, npz:PATH, csv:PATH, hf:NAME, "
    "torchvision:NAME, features:PATH, package.module:function"
)
_EXAMPLES = {
    "discover": "taskdiscovery discover parquet:train.parquet --tasks 16 --out runs/cifar",
    "score": "taskdiscovery score parquet:train.parquet --target label:0,1,2,3,4",
    "split": "taskdiscovery split folder:photos --target label --from runs/photos",
    "audit": "taskdiscovery audit folder:photos --target label --strict",
    "estimate": "taskdiscovery estimate folder:photos --on folder:last-month --from runs/photos",
}
_JOBS = ("discover", "score", "split", "audit", "estimate")
_TRUST = "allow this factory, which the run was made with, to be imported"
_TEST_OF_RUN = "its images to measure on, if it is from elsewhere and may read them"
_DATA_OF_RUN = "DATA, if it has moved since, or the run is from elsewhere and may read it"
_HELP = {
    "demo": "the whole pipeline on embedded data, ending with a report",
    "info": "what is read: counts, sizes, labels, attributes, problems",
    "label": "the tasks of a run on other images",
    "fit": "a learner trained on a labeling, and how it fares on images it has not seen",
    "estimate": "the accuracy of a learner on images that nobody has labelled",
    "plant": "a cue in some of the images, and the truth beside them, to try an audit on",
    "stress": "a benchmark of DATA: training sets in which a task goes with the target, and tests",
    "audit": "shortcuts in labelled images: cues that go with the labels, and which are followed",
    "embed": "what a frozen network makes of images: features, as a file",
    "analyze": "evidence for what each task of a run is about",
    "compare": "the tasks of a run on other images: which classes are at risk there",
    "report": "one HTML file of a run: report.html",
    "export": "what a run found, by image, as another tool reads it",
    "show": "what a run holds: tasks, scores and splits by name, what is unfinished, what is next",
    "resume": "go on with the job of a run that was stopped",
    "discard": "give up the unfinished job of a run; what was committed stays",
    "verify": "each file of a run against what was committed",
    "completion": "the script by which a shell completes commands, options and values",
    "doctor": "versions, processor, devices, precision and the cache",
    "discover": "find tasks on which a learner generalizes",
    "score": "agreement scores of labelings, random labels beside them",
    "split": "a train-test split that breaks a learner, beside its controls",
}


class Parser(argparse.ArgumentParser):
    """argparse whose errors are ours: what, where, and the nearest option."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # `--range -1000,2000`: two numbers are no option either.
        self._negative_number_matcher = re.compile(r"-(\d|\.\d)[\d.e+-]*(,.*)?$")

    def error(self, message: str) -> NoReturn:
        """Raise a ConfigError in place of printing the usage."""
        known = sorted(_options(self))
        hint = f"see {self.prog} --help"
        if message.startswith("unrecognized arguments:"):
            word = message.split(": ", 1)[1].split()[0].split("=")[0]
            if word.startswith("-"):
                hint = nearest(word, known)
        elif "invalid choice" in message and "argument COMMAND" in message:
            word = message.split("invalid choice: ")[1].split("'")[1]
            hint = nearest(word, COMMANDS)
        raise ConfigError(message, where=self.prog, hint=hint)


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
    "fit",
    "estimate",
    "embed",
    "plant",
    "stress",
    "audit",
    "analyze",
    "compare",
    "report",
    "export",
    "show",
    "resume",
    "discard",
    "verify",
    "doctor",
    "completion",
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

    def add(name: str, **more: Any) -> Parser:
        return commands.add_parser(
            name,
            help=_HELP[name],
            description=_HELP[name],
            parents=[common],
            allow_abbrev=False,
            **more,
        )

    for name in COMMANDS:
        if name in _JOBS:
            _job(add(name, epilog=f"Example: {_EXAMPLES[name]}"), name)
        else:
            _ARGUMENTS[name](add(name))
    return parser


def _job(command: Parser, name: str) -> None:
    """Add the arguments of a command that trains."""
    _data(command, optional=True)
    _options_of(command, CONFIGS[name])
    command.add_argument("--out", type=Path, metavar="DIR", help=_OUT_HELP[name])
    command.add_argument("--config", type=Path, metavar="FILE", help=_CONFIG_HELP[name])
    command.add_argument(
        "--print-config", action="store_true", help="print the options as YAML and exit"
    )
    if name == "score":
        bounded = "print beside each agreement score what it tells of accuracy: the most that it "
        bounded += "can be, (1 + AS)/2, and an estimate by the other labelings of the table"
        command.add_argument("--estimate-accuracy", action="store_true", help=bounded)
    _log(command)
    if name == "audit":
        _pictures(command)
        strict = "exit with code 8 where the verdict is FAIL"
        command.add_argument("--strict", action="store_true", help=strict)
    _format(command)


def _demo(command: Parser) -> None:
    command.add_argument(
        "data", nargs="?", default="digits", metavar="DATA", help="default: digits"
    )
    command.add_argument("--out", type=Path, default=None, help="default: the next runs/demo-N")
    _log(command)


def _info(command: Parser) -> None:
    _data(command)
    _options_of(command, DataConfig)
    command.add_argument("--report", type=Path, metavar="FILE", help="one HTML page of all of it")
    _pictures(command)
    _format(command)


def _label(command: Parser) -> None:
    _run(command)
    _data(command)
    _options_of(command, CONFIGS["label"])
    command.add_argument("--learner", default="", help=_TRUST)
    command.add_argument("--out", type=Path, metavar="FILE", help="FILE.csv or FILE.parquet")


def _embed(command: Parser) -> None:
    _data(command)
    _options_of(command, CONFIGS["embed"])
    command.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        required=True,
        help="FILE.parquet, which keeps ids and the backbone; or FILE.npy, which does not",
    )


def _fit(command: Parser) -> None:
    _data(command)
    _options_of(command, CONFIGS["fit"])
    command.add_argument(
        "--out", type=Path, metavar="FILE", help="FILE.safetensors, which keeps the learner"
    )
    _format(command)


def _plant(command: Parser) -> None:
    _data(command)
    _options_of(command, CONFIGS["plant"])
    command.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        required=True,
        help="new folder: images/CLASS/ROW.png, truth.csv, planted.json",
    )


def _stress(command: Parser) -> None:
    _data(command, optional=True)
    _options_of(command, CONFIGS["stress"])
    command.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        required=True,
        help="new folder: README.md, strength-*/, tests/, SHA256SUMS; baselines.csv where asked",
    )
    _log(command)
    _format(command)


def _analyze(command: Parser) -> None:
    help = "a run directory; of some of its tasks, verdicts are printed and not written"
    command.add_argument("run", metavar="RUN[:TASK,…]", help=help)
    command.add_argument("--data", help=_DATA_OF_RUN)
    _options_of(command, CONFIGS["analyze"])
    command.add_argument("--learner", default="", help=_TRUST)
    _log(command)
    _format(command)


def _compare(command: Parser) -> None:
    _run(command)
    command.add_argument("other", metavar="DATA2", help="the other images: as DATA")
    command.add_argument("--data", help=_DATA_OF_RUN)
    _options_of(command, CONFIGS["compare"])
    _format(command)


def _report(command: Parser) -> None:
    _run(command)
    beside = "a second run: one page of both side by side, written to --out"
    command.add_argument("beside", nargs="?", type=Path, metavar="RUN2", help=beside)
    command.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="with RUN2: the page (default: report-RUN-RUN2.html in the working directory)",
    )
    _images_of_run(command)
    command.add_argument(
        "--names",
        default="",
        metavar="lite0|PATH",
        help="measure and name the tasks before, as analyze --names does",
    )
    _pictures(command)
    _splits_of_run(command, "show")
    command.add_argument("--learner", default="", help=_TRUST)


def _export(command: Parser) -> None:
    _run(command)
    command.add_argument(
        "--to",
        required=True,
        metavar="|".join(FORMS),
        help="the tool: FiftyOne, Renumics Spotlight, cleanlab's Datalab, a Hugging Face data set, "
        "Croissant, a table",
    )
    command.add_argument("--out", type=Path, metavar="DIR", required=True, help="new folder")
    _images_of_run(command)
    _splits_of_run(command, "export")
    _pictures(command)


def _resume(command: Parser) -> None:
    _run(command)
    command.add_argument("--data", help=_DATA_OF_RUN)
    command.add_argument("--learner", default="", help=_TRUST)
    command.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="TEXT",
        help="allow what the run's files name by this text to be used: a file or another run "
        "outside of a run from elsewhere, or code; may be given several times",
    )
    command.add_argument(
        "--change-ranks",
        action="store_true",
        help="go on with another number of torchrun's processes; the result is marked as not exact",
    )
    _log(command)


def _show(command: Parser) -> None:
    _run(command)
    _format(command)


def _discard(command: Parser) -> None:
    _run(command)
    command.add_argument(
        "--all",
        action="store_true",
        help="remove the run itself, where the job that was to make it never finished",
    )


def _verify(command: Parser) -> None:
    _run(command)
    _format(command)


def _doctor(command: Parser) -> None:
    """It takes no arguments."""


def _completion(command: Parser) -> None:
    command.add_argument("shell", choices=("bash", "zsh", "fish"), help="it is printed for")
    command.epilog = (
        "In ~/.bashrc or ~/.zshrc: source <(taskdiscovery completion bash), or zsh; in fish: "
        "taskdiscovery completion fish > ~/.config/fish/completions/taskdiscovery.fish"
    )


_ARGUMENTS: dict[str, Callable[[Parser], None]] = {
    "demo": _demo,
    "info": _info,
    "label": _label,
    "embed": _embed,
    "fit": _fit,
    "plant": _plant,
    "stress": _stress,
    "analyze": _analyze,
    "compare": _compare,
    "report": _report,
    "export": _export,
    "show": _show,
    "discard": _discard,
    "resume": _resume,
    "verify": _verify,
    "doctor": _doctor,
    "completion": _completion,
}


#: options of `compare` that count without `--accuracy`, too.
_COMPARES = {item.name for item in options(JobConfig)} | {"other_features", "accuracy", "name"}
_COMPARES |= {"learner", "device"}  # of a run's own network, and of a backbone

_CONFIG_HELP = {
    "discover": "YAML of these options; `published` is what the paper's code sets (--method meta)",
    "score": "YAML of these options",
    "split": "YAML of these options",
    "audit": "YAML of these options",
    "estimate": "YAML of these options",
}
_OUT_HELP = {
    "discover": "new run directory (default: the next runs/discover-LEARNER-N)",
    "score": "new run directory, or one to add to (default: the run of --from, else none)",
    "split": "new run directory, or one to add to (default: the run of --from, else the next "
    "runs/split-LEARNER-N)",
    "estimate": "new run directory (default: nothing is written)",
    "audit": "new run directory (default: the next runs/audit-LEARNER-N)",
}


def config_of(command: str, arguments: Document) -> tuple[str, WorkConfig]:
    """Merge `--config` and the options given; return DATA and the config.

    Raises:
        ConfigError: for an unreadable file, an unknown key, no DATA.
    """
    kind = CONFIGS[command]
    values: Document = {}
    file: Path | None = arguments.get("config")
    if file is not None:
        values = read_config(file)
        if "objects" in values:  # they are handed over in Python alone
            raise ConfigError(
                "unknown key 'objects'", where=str(file), hint=nearest("objects", _keys(kind))
            )
    named = values.pop("data", None)
    data = arguments.get("data") or named
    for ignored in ("format", "command", "seal"):  # of the config.yaml of a run
        values.pop(ignored, None)
    given = {key: arguments[key] for key in _keys(kind) if key in arguments}
    values |= given
    if not data and values.get("features") and not is_backbone(values["features"]):
        # The table itself is what is looked at.
        data, values["features"] = f"{ALONE}:{values['features']}", OF_DATA
    if not data and split_run_task(str(values.get("from") or ""))[0] is not None:
        data = own_data(None, str(values["from"]))
    if not isinstance(data, str) or not data:
        raise ConfigError("no DATA is given", where=f"taskdiscovery {command}", hint=DATA_HELP)
    where = str(file) if file else f"taskdiscovery {command}"
    usual = with_features_beside if kind is AuditConfig else with_usual_features
    values = usual(data, values, values.get("from"))
    config = from_mapping(kind, values, where)
    assert isinstance(config, WorkConfig)
    if file is not None:
        from taskdiscovery.jobs.trust import check_config_file

        check_config_file(
            config, "" if arguments.get("data") else data, set(map(flag_of, given)), str(file)
        )
    return data, config


def _fields(kind: type[Options]) -> Iterator[tuple[type[Options], Any]]:
    """Yield the options of a command, those of its methods after its own; each name once."""
    seen = set()
    for owner in (kind, *(METHODS.values() if kind.NESTED else ())):
        for item in options(owner):
            if key_of(item) not in seen:
                seen.add(key_of(item))
                yield owner, item


def _keys(kind: type[Options]) -> list[str]:
    return [*([kind.NESTED] if kind.NESTED else []), *(key_of(i) for _, i in _fields(kind))]


def _options_of(command: Parser, kind: type[Options]) -> None:
    """Add the options of a config, under the headings that it gives them."""
    if kind.NESTED:
        command.add_argument(
            flag_of(kind.NESTED),
            default=argparse.SUPPRESS,
            metavar="|".join(METHODS),
            help="; ".join(f"{name}: {m.about}" for name, m in METHODS.items())
            + " (default: pursuit on features, power on pixels)",
        )
    groups: dict[str, Any] = {"": command}
    for owner, item in _fields(kind):
        title = item.metadata["group"]
        if not title and issubclass(owner, Method):
            title = "method"
        if kind is CompareConfig and item.name not in _COMPARES:
            title = "training options (only with --accuracy)"
        if title not in groups:
            heading = title if title.endswith(")") else f"{title} options"
            groups[title] = command.add_argument_group(heading)
        _option(groups[title], owner, item)


def _option(parser: argparse._ActionsContainer, config: type[Options], item: Any) -> None:
    limits = item.metadata
    expected, _ = base_type(config, item)
    flag = flag_of(key_of(item))
    default = item.default
    if isinstance(default, tuple):
        texts = (word if isinstance(word, str) else number_text(word) for word in default)
        default = limits["separator"].join(texts)
    told = "" if default in (None, "") else f" (default: {default})"
    help = (limits["help"] + told).replace("%", "%%")
    common: Document = {"dest": key_of(item), "default": argparse.SUPPRESS, "help": help}
    if expected is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, **common)
        return
    if limits["metavar"]:
        common["metavar"] = limits["metavar"]
    elif limits["choices"]:
        common["metavar"] = "|".join(limits["choices"])
    text = issubclass(expected, tuple)  # which the config takes apart
    parser.add_argument(flag, type=str if text else _converter(expected, flag), **common)


def _converter(expected: type, flag: str) -> Any:
    def convert(text: str) -> Any:
        try:
            return expected(text)
        except ValueError:
            kind = "a whole number" if expected is int else "a number"
            raise ConfigError(
                f"{flag} must be {kind}, got {text!r}", where=flag, hint=f"give {kind}"
            ) from None

    return convert


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory")


def _data(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    parser.add_argument("data", nargs="?" if optional else None, metavar="DATA", help=DATA_HELP)


def _pictures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-images", action="store_true", help="leave the pictures out")
    parser.add_argument("--blur", action="store_true", help="show each picture as 6 x 6 colours")


def _images_of_run(command: Parser) -> None:
    command.add_argument("--data", help=_DATA_OF_RUN)
    command.add_argument(
        "--features",
        default="",
        metavar="FILE|BACKBONE",
        help="numbers of the images (default: those that the tasks were found on)",
    )
    command.add_argument("--test", default="", metavar="DATA2", help=_TEST_OF_RUN)


def _splits_of_run(command: Parser, verb: str) -> None:
    command.add_argument(
        "--split",
        action="append",
        default=[],
        metavar="NAME",
        help=f"{verb} this split of the run, and no others but those named alike (default: all)",
    )


def _log(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log",
        action="append",
        default=[],
        metavar="|".join(LOGGERS) + "[:WHERE]",
        help="keep options, iterations, scores and the result with this tool, too: at a folder, a "
        "project, an address, a file; may be given several times",
    )


def _format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        choices=("table", "json", "csv"),
        default="table",
        help="how results are printed on stdout",
    )
