"""Command lines of oauth2-proxy, as a shell, systemd, Docker or Kubernetes has them. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.cli.migrate.table import BY_FLAG, OF_THE_COMMAND
from gateway.faults import UsageFault

VARIABLE: Final = re.compile(
    r"\$\{(?P<braced>[A-Za-z_]\w*)(?::?-(?P<usual>[^}]*))?\}|\$\((?P<round>[A-Z_]\w*)\)|\$(?P<bare>[A-Z_][A-Z0-9_]*)"
)
"""`${NAME}`, `${NAME:-usual}` and `$NAME` of shells and compose files; `$(NAME)` of Kubernetes."""
_SETTING: Final = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_]\w*)=(?P<value>.*)")
FLAGS_THAT_TELL: Final = 3
"""So many flags of oauth2-proxy tell that a container runs it, whatever the name of its image."""
_OWN: Final = re.compile(r"OAUTH2_PROXY_[A-Z0-9_]+")
_SECTION: Final = re.compile(r"^\[Service\]\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Call:
    """How oauth2-proxy is started: its arguments, and the variables it gets. Both may hold secrets."""

    arguments: tuple[str, ...] = field(default=(), repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: tuple[str, ...] = ()
    """Files with further variables."""
    elsewhere: tuple[str, ...] = ()
    """Maps and secrets of Kubernetes that hold further variables."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag and its value. A switch without a value is `true`. A word that no flag takes has no name."""

    name: str
    value: str = field(repr=False)


def read_flags(arguments: Sequence[str]) -> Iterator[Flag]:
    """Yield the flags of a command line. The program's own name may come first."""
    waiting = ""
    for number, argument in enumerate(arguments):
        if waiting:
            yield Flag(waiting, argument)
            waiting = ""
        elif argument.startswith("-") and argument.strip("-"):
            name, equals, value = argument.lstrip("-").partition("=")
            if equals or _is_switch(name, arguments[number + 1 : number + 2]):
                yield Flag(name, value if equals else "true")
            else:
                waiting = name
        else:
            yield Flag("", argument)
    if waiting:
        raise UsageFault(f"--{waiting} has no value")


def _is_switch(name: str, after: Sequence[str]) -> bool:
    """True for a flag that takes no value of its own. An unknown one takes what follows if that is no flag."""
    if name in BY_FLAG:
        return BY_FLAG[name].kind == "flag"
    if name in OF_THE_COMMAND:
        return not name.endswith("config")
    return not after or after[0].startswith("-")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Put variables into a text. One that is not set stays as it is, so that nobody takes it for empty."""

    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["round"] or match["bare"]
        found = variables.get(name, "") or (match["usual"] or "")
        return found or match[0]

    return VARIABLE.sub(value, text)


def read_shell(text: str) -> Call:
    """Read a command as typed: `oauth2-proxy --flag …`, `docker run … oauth2-proxy …`, or only flags, one per line."""
    tokens = _split(text)
    start = _start(tokens)
    return Call(tuple(tokens[start:]), dict(_settings(tokens[: max(start - 1, 0)])))


def _start(tokens: Sequence[str]) -> int:
    """Return where the program's own arguments begin: behind its last name before its first flag."""
    flags = (number for number, one in enumerate(tokens) if one.startswith("-") and _name(one) in BY_FLAG)
    first = next(flags, len(tokens))
    return max((number + 1 for number, one in enumerate(tokens[:first]) if is_program(one)), default=0)


def _name(argument: str) -> str:
    return argument.lstrip("-").partition("=")[0]


def is_program(text: str) -> bool:
    """True for the name of the program, of its file or of its image."""
    return not text.startswith("-") and re.search(r"(?:^|/)oauth2[-_]proxy(?:[:@][\w.:-]*)?$", text) is not None


def _split(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    try:
        return shlex.split("\n".join(lines).replace("\\\n", " "))
    except ValueError as exc:
        raise UsageFault(f"the command line cannot be read: {exc}") from None


def _settings(tokens: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield variables before a command: `NAME=value`, and `-e NAME=value` or `-e NAME` of `docker run`."""
    for token in tokens:
        text = token.removeprefix("--env=").removeprefix("-e")
        match = _SETTING.fullmatch(text)
        if match is not None:
            yield match["name"], match["value"]
        elif _OWN.fullmatch(text):
            yield text, f"${{{text}}}"


def is_unit(text: str) -> bool:
    return _SECTION.search(text) is not None


def read_unit(text: str) -> Call:
    """Read a unit of systemd: the last `ExecStart`, `Environment` and `EnvironmentFile`."""
    lines = text.replace("\\\n", " ").splitlines()
    values = [line.partition("=")[::2] for line in lines if "=" in line and not line.lstrip().startswith(("#", ";"))]
    starts = [value.strip().lstrip("@-:+!") for key, value in values if key.strip() == "ExecStart" and value.strip()]
    if not starts:
        raise UsageFault("the unit has no ExecStart")
    variables = dict(pair for key, value in values if key.strip() == "Environment" for pair in _settings(_split(value)))
    files = tuple(value.strip().lstrip("-") for key, value in values if key.strip() == "EnvironmentFile")
    call = read_shell(starts[-1].replace("%%", "%"))
    return Call(call.arguments, {**variables, **call.variables}, files)


def read_variables_file(text: str) -> dict[str, str] | None:
    """Read lines `NAME=value`, as of an `.env` file; None if a line is something else."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _SETTING.fullmatch(line.strip())
        if match is None:
            return None
        value = match["value"].strip()
        found[match["name"]] = value[1:-1] if len(value) > 1 and value[0] == value[-1] in "\"'" else value
    return found


def find_calls(tree: Any, *, name: str = "") -> Iterator[tuple[str, Call]]:
    """Yield every service of a compose file, or container of a Kubernetes manifest, that runs oauth2-proxy."""
    if isinstance(tree, list):
        for item in tree:
            yield from find_calls(item, name=str(item.get("name", name)) if isinstance(item, dict) else name)
        return
    if not isinstance(tree, dict):
        return
    arguments = [part for key in ("entrypoint", "command", "args") for part in _words(tree.get(key))]
    variables = _environment(tree.get("environment", tree.get("env")))
    is_it = is_program(str(tree.get("image", ""))) or any(is_program(one) for one in arguments)
    flags = {_name(one) for one in arguments if one.startswith("--")} & BY_FLAG.keys()
    if is_it or len(flags) >= FLAGS_THAT_TELL or any(one.startswith("OAUTH2_PROXY_") for one in variables):
        own = tuple(arguments[_start(arguments) :])
        yield name, Call(own, variables, tuple(_words(tree.get("env_file"))), tuple(_maps(tree.get("envFrom"))))
        return
    for key, value in tree.items():
        yield from find_calls(value, name=str(key) if isinstance(value, dict) else name)


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        return _split(value)
    words = [str(one) for one in value if isinstance(one, str | int)] if isinstance(value, list) else []
    return [part for word in words for part in (_split(word) if _is_script(word) else [word])]


def _is_script(word: str) -> bool:
    """True for a whole command in one argument, as in `sh -c "oauth2-proxy --flag"`."""
    return any(is_program(part) for part in word.split()) and len(word.split()) > 1


def _maps(value: Any) -> Iterator[str]:
    """Yield the names of the maps and secrets that `envFrom` takes variables from."""
    for item in value if isinstance(value, list) else ():
        for reference in item.values() if isinstance(item, dict) else ():
            if isinstance(reference, dict) and "name" in reference:
                yield str(reference["name"])


def _environment(value: Any) -> dict[str, str]:
    """Read variables: a map, a list of `NAME=value`, or a list of name and value.

    One whose value is elsewhere (the shell, a secret of Kubernetes) keeps its name: `${NAME}`.
    """
    if isinstance(value, dict):
        return {str(key): _scalar(one, name=str(key)) for key, one in value.items()}
    found: dict[str, str] = {}
    for item in value if isinstance(value, list) else ():
        if isinstance(item, str):
            name, equals, text = item.partition("=")
            found[name] = text if equals else _scalar(None, name=name)
        elif isinstance(item, dict) and "name" in item:
            found[str(item["name"])] = _scalar(item.get("value"), name=str(item["name"]))
    return found


def _scalar(value: Any, *, name: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"${{{name}}}" if value is None else str(value)


def find_texts(trees: Any) -> dict[str, dict[str, str]]:
    """Return the texts in ConfigMaps and Secrets of Kubernetes: name of the map → key → text."""
    found: dict[str, dict[str, str]] = {}
    for tree in trees if isinstance(trees, list) else ():
        if isinstance(tree, dict) and tree.get("kind") == "List":
            found |= find_texts(tree.get("items"))
        elif isinstance(tree, dict) and tree.get("kind") in ("ConfigMap", "Secret"):
            texts = tree.get("data" if tree["kind"] == "ConfigMap" else "stringData")
            metadata = tree.get("metadata")
            if isinstance(texts, dict) and isinstance(metadata, dict):
                found[str(metadata.get("name", ""))] = {str(key): str(text) for key, text in texts.items()}
    return found
