"""Read the old configuration from files and variables, in oauth2-proxy's order of precedence."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.cli.migrate.alpha import is_alpha, read_fields
from gateway.cli.migrate.command_lines import (
    VARIABLE,
    Call,
    expand,
    find_calls,
    find_texts,
    is_program,
    is_unit,
    read_flags,
    read_shell,
    read_unit,
    read_variables_file,
)
from gateway.cli.migrate.options import Given, Option
from gateway.cli.migrate.table import BY_FLAG, BY_KEY, BY_VARIABLE, OF_THE_COMMAND, RELEASE
from gateway.cli.migrate.values import Raw
from gateway.faults import UsageFault

PREFIX: Final = "OAUTH2_PROXY_"
_FILE, _VARIABLE, _FLAG = range(3)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found. `tables` are those of the alpha configuration, one by one. `unknown` names the rest."""

    given: Mapping[str, Given]
    tables: tuple[Given, ...]
    unknown: Mapping[str, str]
    of_the_command: tuple[str, ...]
    has_alpha: bool = False
    missing: Mapping[str, str] = field(default_factory=dict)
    """Options whose value is in a variable that is not set here, with that value."""


@dataclass(slots=True)
class _Found:
    """Everything found so far, with its rank: a flag counts more than a variable, and that more than a file."""

    environ: Mapping[str, str]
    has_more: bool
    """Whether a person named other sources beside one file."""
    texts: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    ranked: dict[str, tuple[int, Given]] = field(default_factory=dict)
    tables: list[Given] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    of_the_command: list[str] = field(default_factory=list)
    has_alpha: bool = False
    seen: set[Path] = field(default_factory=set)

    def add(self, option: Option, raw: Raw, *, source: str, rank: int) -> None:
        before = self.ranked.get(option.name)
        if before is not None and before[0] > rank:
            return
        if before is not None and before[0] == rank == _FLAG and option.kind == "list":
            raw = [*before[1].items, *Given(option, raw, source).items]  # a flag may be repeated
        self.missing.pop(option.name, None)
        if rank != _FILE and (variable := next(_unset(raw), "")):
            self.missing[option.name] = variable
        self.ranked[option.name] = (rank, Given(option, raw, source))


def read_sources(files: Iterable[Path], *, environ: Mapping[str, str], with_environ: bool) -> Reading:
    """Read `files`, the files that they name, and the variables of this process if `with_environ`.

    Raises:
        UsageFault: a file cannot be read, or is of no known kind.
    """
    named = list(files)
    found = _Found(environ, with_environ or len(named) > 1)
    if with_environ:
        _add_variables(found, environ)
    for file in named:
        _add_file(found, file)
    return Reading(
        {name: given for name, (_, given) in found.ranked.items()},
        tuple(found.tables),
        found.unknown,
        tuple(found.of_the_command),
        found.has_alpha,
        found.missing,
    )


def _add_file(found: _Found, file: Path, *, named_by: str = "") -> None:
    if file.resolve() in found.seen:
        return
    found.seen.add(file.resolve())
    inner = next((texts[file.name] for texts in found.texts.values() if file.name in texts), None)
    try:
        text = inner if inner is not None and named_by else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        why = f", which {named_by} names," if named_by else ""
        raise UsageFault(f"{file}{why} cannot be read: {type(exc).__name__}") from None
    if is_unit(text):
        _add_call(found, read_unit(text), file)
    elif file.suffix in (".yaml", ".yml", ".json"):
        _add_tree(found, _parse_yaml(text, file), file)
    elif (variables := read_variables_file(text)) and any(name.startswith(PREFIX) for name in variables):
        _add_variables(found, variables)
    else:
        _add_toml_or_command(found, text, file)


def _is_command(text: str) -> bool:
    """True if a line begins with a flag, or names the program."""
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return any(words[0].startswith("-") or any(is_program(word) for word in words) for words in lines)


def _add_toml_or_command(found: _Found, text: str, file: Path) -> None:
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        if _is_command(text):
            _add_call(found, read_shell(text), file)
            return
        raise UsageFault(
            f"{file} is neither TOML, a command line, a unit of systemd nor a file of {PREFIX}… variables: "
            f"{_where(exc)}; a compose file, a manifest or an alpha configuration ends in .yaml"
        ) from None
    for key, value in tables.items():
        option = BY_KEY.get(key)
        if option is None:
            found.unknown[key] = _hint(key)
        else:
            found.add(option, value, source=f"{file.name}: {key}", rank=_FILE)


def _add_tree(found: _Found, trees: list[Any], file: Path) -> None:
    found.texts |= find_texts(trees)
    if len(trees) == 1 and is_alpha(trees[0]):
        _add_alpha(found, trees[0], file)
        return
    calls = list(find_calls(trees))
    if len(calls) != 1:
        names = ", ".join(name for name, _ in calls)
        raise UsageFault(
            f"{file} runs oauth2-proxy {len(calls)} times ({names}); keep one in a file of its own"
            if calls
            else f"{file} is no alpha configuration, and no service or container in it runs oauth2-proxy"
        )
    _add_call(found, calls[0][1], file)


def _add_alpha(found: _Found, tree: Mapping[str, Any], file: Path) -> None:
    found.has_alpha = True
    for one in read_fields(_expanded(tree, found.environ)):
        source = f"{file.name}: {one.place}"
        if one.option is None:
            found.unknown[one.place] = f"no field of the alpha configuration of {RELEASE}"
        elif one.option.kind == "table":
            found.tables.append(Given(one.option, one.raw, source))
            found.missing.update((one.place, variable) for variable in _unset(one.raw))
        else:
            found.add(one.option, one.raw, source=source, rank=_FLAG)


def _expanded(tree: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(tree, Mapping):
        return {key: _expanded(value, variables) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_expanded(value, variables) for value in tree]
    return expand(tree, variables).replace("$$", "$") if isinstance(tree, str) else tree


def _unset(raw: Any) -> Iterator[str]:
    """Yield the variables that a value still names."""
    for item in raw.values() if isinstance(raw, Mapping) else raw if isinstance(raw, list) else ():
        yield from _unset(item)
    if isinstance(raw, str):
        yield from (match[0] for match in VARIABLE.finditer(raw))


def _add_call(found: _Found, call: Call, file: Path) -> None:
    variables = dict(call.variables)
    for name in call.elsewhere:
        if name in found.texts:
            variables = {**found.texts[name], **variables}
        elif found.has_more:
            found.unknown[f"envFrom {name}"] = "its variables are not in this file; name them in a file of their own"
        else:
            raise UsageFault(f"{file} takes variables from {name}, which it does not hold; write them into a file too")
    for name in call.files:
        more = file.parent / name
        if more.is_file():
            variables = {**(read_variables_file(more.read_text(encoding="utf-8")) or {}), **variables}
        else:
            raise UsageFault(f"{file}: the file with variables {name} is not there; put it beside, or name it too")
    set_here = {name: value for name, value in variables.items() if value and not VARIABLE.fullmatch(value)}
    known = {**found.environ, **set_here}
    variables = {name: expand(value, known) for name, value in variables.items()}
    found.environ = {**found.environ, **variables}
    _add_variables(found, variables)
    arguments = [expand(one, known).replace("$$", "$") for one in call.arguments]
    for number, flag in enumerate(read_flags(arguments), start=1):
        if not flag.name:
            found.unknown[f"word {number} of the command line"] = (
                "belongs to no flag; a switch is set by --switch=false"
            )
        elif flag.name in ("config", "alpha-config"):
            _add_file(found, _beside(file, flag.value, found), named_by=f"--{flag.name}")
            found.of_the_command.append(flag.name)
        elif flag.name in OF_THE_COMMAND:
            found.of_the_command.append(flag.name)
        elif flag.name in BY_FLAG:
            found.add(BY_FLAG[flag.name], flag.value, source=f"--{flag.name}", rank=_FLAG)
        else:
            found.unknown[f"--{flag.name}"] = _hint(flag.name)


def _beside(file: Path, name: str, found: _Found) -> Path:
    """Return the file that a flag names: where it says, or beside `file`, as with the path inside a container."""
    path = Path(name)
    return path if path.is_file() else file.parent / (path.name if path.is_absolute() else path)


def _add_variables(found: _Found, variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        if not name.startswith(PREFIX):
            continue
        bare = name.removeprefix(PREFIX).lower()
        if name in BY_VARIABLE:
            found.add(BY_VARIABLE[name], value, source=name, rank=_VARIABLE)
        elif bare.replace("_", "-") in ("config", "alpha-config"):
            found.unknown[name] = "name that file to this command as well"
        else:
            found.unknown[name] = _hint(bare)


def _hint(name: str) -> str:
    """Say what an unknown name may have meant: lists have plural names everywhere but on the command line."""
    key = name.replace("-", "_").lower()
    by_flag = {option.flag.replace("-", "_"): option for option in BY_KEY.values()}
    if key in by_flag and by_flag[key].config_key != key:
        return f"oauth2-proxy does not read it: the name of the list is {by_flag[key].config_key}"
    if key in BY_KEY:
        return f"oauth2-proxy does not read it: the flag is --{BY_KEY[key].flag}"
    return f"no option of oauth2-proxy {RELEASE}"


def _parse_yaml(text: str, file: Path) -> list[Any]:
    try:
        import yaml
    except ImportError:
        raise UsageFault('reading YAML needs PyYAML: pip install "vestibule[migrate]"') from None
    try:
        return [tree for tree in yaml.safe_load_all(text) if tree is not None]
    except yaml.YAMLError as exc:
        raise UsageFault(f"{file} is not readable as YAML: {_where(exc)}") from None


def _where(error: Exception) -> str:
    """Say where a file has a fault. The text around it is not shown: it may be a secret."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"line {mark.line + 1}, column {mark.column + 1}"
    found = re.search(r"line [0-9]+, column [0-9]+", str(error))
    return found[0] if found else type(error).__name__
