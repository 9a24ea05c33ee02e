"""Completion scripts for bash, zsh and fish."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

from taskdiscovery.cli.completion import FOLDERS, Command, Option, Value, commands, options

PROGRAM = "taskdiscovery"
_MADE = "made by `taskdiscovery completion {shell}`; make it anew after an update"


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """Return the completion script for a shell, `bash`, `zsh` or `fish`."""
    return SHELLS[shell](parser)


def bash(parser: argparse.ArgumentParser) -> str:
    """Return the script that `source <(taskdiscovery completion bash)` reads."""
    own = list(commands(parser))
    lines = [f"# {_MADE.format(shell='bash')}", *_BASH_HEAD.strip("\n").splitlines()]
    lines += [f"    local commands={_quoted(' '.join(c.name for c in own))}", *_BASH_FIND]
    for command in own:
        lines += [f"    {command.name})", *_bash_command(command), "        ;;"]
    first = " ".join(flag for option in options(parser) for flag in option.flags)
    lines += [
        '    "")',
        '        words="$commands"',
        f"        flags={_quoted(first)}",
        "        ;;",
    ]
    return "\n".join([*lines, *_BASH_TAIL.strip("\n").splitlines(), ""])


_BASH_HEAD = r"""
_taskdiscovery() {
    local current previous="" command="" word words="" flags="" paths="" places="" given=() i n=-1
    # bash cuts words at colons and signs of equality, too, which values hold: here they are joined.
    for (( i = 0; i <= COMP_CWORD; i++ )); do
        word="${COMP_WORDS[i]}"
        if (( n > 0 )) && [[ "$word" == [:=]* || "${COMP_WORDS[i-1]}" == *[:=] ]]; then
            given[n]+="$word"
        else
            given[++n]="$word"
        fi
    done
    current="${given[n]//\\/}"
    case "$current" in [\"\']*) current="${current:1}";; esac
    unset "given[n]"
    if (( n > 1 )); then previous="${given[n-1]}"; fi
    if [[ "$current" == --*=* ]]; then
        previous="${current%%=*}"
        current="${current#*=}"
    fi
    COMPREPLY=()"""
_BASH_FIND = r"""
    for word in "${given[@]:1}"; do
        case " $commands " in *" $word "*) command="$word"; break;; esac
    done
    case "$command" in""".strip("\n").splitlines()
_BASH_TAIL = r"""
    esac
    if [[ "$current" == -* && -z "$places" ]]; then words="$flags" paths=""; fi
    local found=() path="$current" before="" kind=""
    while IFS= read -r word; do found+=("$word"); done \
        < <(compgen -W "$words" -- "$current")
    # Behind `folder:` and the like a path follows.
    if [[ "$current" == *:* ]]; then before="${current%:*}:" path="${current##*:}"; fi
    case "$paths" in files) kind=-f;; folders) kind=-d;; esac
    if [[ -n "$kind" ]]; then
        # Of names bash escapes what is special, and ends folders with a slash; but not of words.
        if [[ ${#found[@]} -eq 0 ]]; then compopt -o filenames 2>/dev/null; fi
        while IFS= read -r word; do found+=("$before$word"); done < <(compgen $kind -- "$path")
    fi
    # What bash holds for the word begins after the last colon.
    if [[ "$COMP_WORDBREAKS" == *:* && "$current" == *:* ]]; then
        found=("${found[@]#"$before"}")
    fi
    COMPREPLY=("${found[@]}")
    # A word that asks for more is not ended.
    if [[ ${#found[@]} -eq 1 && "${found[0]}" == *: ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -F _taskdiscovery taskdiscovery"""


def _bash_command(command: Command) -> Iterator[str]:
    flags = " ".join(flag for option in command.options for flag in option.flags)
    yield f"        flags={_quoted(flags)}"
    if command.places:
        first = _joined(command.places)
        yield f"        words={_quoted(' '.join(first.words))} paths={_quoted(first.paths)}"
    yield '        case "$previous" in'
    for option in command.options:
        if option.value is not None:
            words, paths = _quoted(" ".join(option.value.words)), _quoted(option.value.paths)
            flags = "|".join(option.flags)
            yield f"        {flags}) places=1 words={words} paths={paths};;"
    yield "        esac"


def _joined(places: tuple[Value, ...]) -> Value:
    words = tuple(dict.fromkeys(word for place in places for word in place.words))
    paths = {place.paths for place in places}
    return Value(name=places[0].name, words=words, paths=max(paths - {FOLDERS}, default=FOLDERS))


def zsh(parser: argparse.ArgumentParser) -> str:
    """Return the script that zsh reads, from `source` or as `_taskdiscovery` in its `fpath`."""
    lines = [f"#compdef {PROGRAM}", f"# {_MADE.format(shell='zsh')}", "", "_taskdiscovery() {"]
    lines += ["    local curcontext=$curcontext context state state_descr line", _ZSH_TYPES]
    lines += ["    _arguments -C \\"]
    lines += [f"        {_zsh_option(option)} \\" for option in options(parser)]
    lines += ["        '1: :->command' '*:: :->arguments'", "    case $state in", "    command)"]
    lines += ["        local -a commands=("]
    own = list(commands(parser))
    lines += [f"            {_quoted(_zsh_text(c.name) + ':' + c.help)}" for c in own]
    lines += ["        )", "        _describe -t commands command commands", "        ;;"]
    lines += ["    arguments)", "        case $line[1] in"]
    for command in own:
        lines += [f"        {command.name})", "            _arguments \\"]
        specs = [_zsh_option(option) for option in command.options]
        for i, place in enumerate(command.places, 1):
            specs.append(_quoted(f"{'*' if place.many else i}:{_zsh_value(place)}"))
        lines += [f"                {spec} \\" for spec in specs[:-1]]
        lines += [f"                {specs[-1]}", "            ;;"]
    return "\n".join([*lines, *_ZSH_TAIL.strip("\n").splitlines(), ""])


_ZSH_TYPES = "    typeset -A opt_args"
_ZSH_TAIL = r"""
        esac
        ;;
    esac
}
# A word, or a path, behind `folder:` and the like as well.
_taskdiscovery_values() {
    local paths=$1; shift
    if [[ $PREFIX == *:* ]]; then compset -P '*:'; else compadd -S '' -- ${(M)@:#*:}; fi
    compadd -- ${@:#*:}
    case $paths in
        files) _files ;;
        folders) _files -/ ;;
    esac
}
if [[ $funcstack[1] == _taskdiscovery ]]; then
    _taskdiscovery "$@"
else
    compdef _taskdiscovery taskdiscovery
fi"""


def _zsh_option(option: Option) -> str:
    text = f"[{_zsh_text(option.help)}]"
    flags = option.flags
    value = "" if option.value is None else f":{_zsh_value(option.value)}"
    sign = "=" if option.value is not None else ""
    others = f"({' '.join(flags)})" if len(flags) > 1 else ""
    others = "*" if option.again else others
    return " ".join(_quoted(f"{others}{flag}{sign}{text}{value}") for flag in flags)


def _zsh_value(value: Value) -> str:
    name = _zsh_text(value.name) or "value"
    if not value.paths and not any(word.endswith(":") for word in value.words):
        return f"{name}:({' '.join(value.words)})" if value.words else f"{name}: "
    words = " ".join(word.replace(":", "\\:") for word in value.words)
    return f"{name}:{{_taskdiscovery_values {value.paths or 'none'} {words}}}"


def _zsh_text(text: str) -> str:
    """Escape what `_arguments` reads as its own."""
    for sign in "\\[]:":
        text = text.replace(sign, "\\" + sign)
    return text


def fish(parser: argparse.ArgumentParser) -> str:
    """Return the script that `taskdiscovery completion fish | source` reads."""
    lines = [f"# {_MADE.format(shell='fish')}", *_FISH_HEAD.strip().splitlines()]
    own = list(commands(parser))
    names = " ".join(command.name for command in own)
    lines += [f"complete -c {PROGRAM} -f"]
    none = f"-n 'not __fish_seen_subcommand_from {names}'"
    lines += [f"complete -c {PROGRAM} {none} {_fish_option(o)}" for o in options(parser)]
    for command in own:
        named = f"-a {command.name} -d {_fish_quoted(command.help)}"
        lines.append(f"complete -c {PROGRAM} {none} {named}")
    for command in own:
        seen = f"-n '__fish_seen_subcommand_from {command.name}'"
        for value in command.places:
            lines.append(f"complete -c {PROGRAM} {seen} {_fish_value(value)}")
        lines += [f"complete -c {PROGRAM} {seen} {_fish_option(o)}" for o in command.options]
    return "\n".join([*lines, ""])


_FISH_HEAD = r"""
# Paths, behind `folder:` and the like as well.
function __taskdiscovery_paths
    set -l current (commandline -ct | string replace -r -- '^--[^=]*=' '')
    set -l kind (string match -r -- '^.*:' $current)
    set -l path (string replace -r -- '^.*:' '' $current)
    set -l found
    if test "$argv[1]" = folders
        set found (__fish_complete_directories $path '')
    else
        set found (__fish_complete_path $path '')
    end
    string replace -r -- '^' "$kind" $found
end"""


def _fish_option(option: Option) -> str:
    flags = [f"-l {f[2:]}" if f.startswith("--") else f"-s {f[1:]}" for f in option.flags]
    value = "" if option.value is None else f" -r {_fish_value(option.value)}"
    return f"{' '.join(flags)} -d {_fish_quoted(option.help)}{value}"


def _fish_value(value: Value) -> str:
    words = " ".join(value.words)
    if value.paths:
        words += f" (__taskdiscovery_paths {value.paths})"
    return f"-f -a {_fish_quoted(words.strip())}" if words else "-f"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quoted(text: str) -> str:
    return shlex.quote(text)


SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}
