"""Read a table of expected decisions: people and cases (docs/policy-tests.md)."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bff.settings.faults import closest, key_of
from bff.settings.public_urls import origins_by_host
from bff.settings.tables import Settings
from gateway.cli.routes.callers import NOBODY, Described, Who, read_who
from gateway.cli.routes.questions import Question, read_question
from gateway.faults import UsageFault

NO_ROUTE = "none"
ANONYMOUS = "nobody"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Person(_Table):
    """A caller, as options of `vestibule routes check` describe one."""

    claims: dict[str, Any] | None = None
    claims_file: str = ""
    sub: str = ""
    roles: list[str] = []
    groups: list[str] = []
    scopes: list[str] = []
    email: str = ""
    provider: str = ""
    machine: bool = False


class Case(_Table):
    """One row: a request, by whom, and what the front door is expected to do."""

    name: str = ""
    method: str = "GET"
    url: str
    who: str | list[str] = ANONYMOUS
    origin: str = ""
    expect: int | Annotated[str, Field(min_length=1)]
    route: str = Field("", pattern=r"^[a-z0-9_-]*$")


class PolicyTable(_Table):
    people: dict[str, Person] = {}
    cases: list[Case] = []


@dataclass(frozen=True, slots=True)
class Expected:
    """One question and the answer to it. `result` is a word, a status or a reason code; `route` "" is not compared."""

    place: str
    name: str
    who: str
    question: Question
    result: str
    route: str


def read_policy(file: Path, settings: Settings) -> list[Expected]:
    """Read `file`. A case with several callers counts as several.

    Raises:
        UsageFault: with every fault of the file.
    """
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise UsageFault(f"{file}: not readable as TOML: {exc}") from None
    try:
        policy = PolicyTable(**tables)
    except ValidationError as error:
        raise UsageFault("\n".join(f"{file}: {_fault(found)}" for found in _one_per_place(error))) from None
    if not policy.cases:
        raise UsageFault(f"{file}: no [[cases]]: a table without a case tests nothing")
    people = {name: _read_person(name, person, file, settings) for name, person in policy.people.items()}
    found, faults = _read_cases(policy.cases, {ANONYMOUS: NOBODY} | people, settings)
    if faults:
        raise UsageFault("\n".join(f"{file}: {fault}" for fault in faults))
    return found


def _read_person(name: str, person: Person, file: Path, settings: Settings) -> Who:
    where = f"{file}: people.{name}"
    if name == ANONYMOUS:
        raise UsageFault(f"{where}: {ANONYMOUS} is who is not signed in; use another name")
    claims = person.claims
    if person.claims_file:
        if claims is not None:
            raise UsageFault(f"{where}: claims or claims_file, not both")
        claims = read_claims(file.parent / person.claims_file, where=where)
    own = (person.roles, person.groups, person.email)
    described = Described(
        claims=claims,
        sub=person.sub or (name if claims is None else ""),
        roles=person.roles,
        groups=person.groups,
        scopes=person.scopes,
        email=person.email,
        provider=person.provider,
        is_machine=person.machine,
    )
    if claims is not None and any(own):
        raise UsageFault(f"{where}: claims, or roles, groups and email: not both")
    return read_who(described, settings, where=where)


def read_claims(file: Path, *, where: str) -> dict[str, Any]:
    """Read the claims of an ID token or an access token from a JSON file.

    Raises:
        UsageFault: it holds no JSON object.
    """
    try:
        claims = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as exc:
        raise UsageFault(f"{where}: {file} is not readable as JSON: {type(exc).__name__}") from None
    if not isinstance(claims, dict):
        raise UsageFault(f"{where}: {file} holds no JSON object with claims")
    return claims


def _read_cases(
    cases: Iterable[Case], people: Mapping[str, Who], settings: Settings
) -> tuple[list[Expected], list[str]]:
    found: list[Expected] = []
    faults: list[str] = []
    origins = origins_by_host(settings.server)
    for number, case in enumerate(cases):
        place = f"cases[{number}]"
        if case.route not in ("", NO_ROUTE) and settings.route(case.route) is None:
            faults.append(
                f"{place}.route: no route {case.route}{_near(case.route, [one.id for one in settings.routes])}"
            )
        for name in [case.who] if isinstance(case.who, str) else case.who:
            if name not in people:
                faults.append(f"{place}.who: nobody is called {name}{_near(name, people)}; add [people.{name}]")
                continue
            try:
                asked = read_question(case.method, case.url, origins=origins, who=people[name], origin=case.origin)
            except UsageFault as fault:
                faults.append(f"{place}: {fault.message}")
                break
            found.append(Expected(place, case.name, name, asked, str(case.expect), case.route))
    return found, faults


def _near(name: str, known: Iterable[str]) -> str:
    near = closest(name, known)
    return f"; did you mean {near}?" if near else ""


def _one_per_place(error: ValidationError) -> list[Any]:
    """Return the first fault of each place: a value that fits none of several types has one fault."""
    by_place: dict[tuple[Any, ...], Any] = {}
    for found in error.errors(include_input=False, include_url=False):
        place = tuple(part for part in found["loc"] if not str(part).startswith(("list[", "literal[", "str", "int")))
        by_place.setdefault(place, {**found, "loc": place})
    return list(by_place.values())


def _fault(found: Mapping[str, Any]) -> str:
    place, key = key_of(found["loc"]), str(found["loc"][-1])
    match found["type"]:
        case "extra_forbidden":
            table: type[_Table] = PolicyTable
            if len(found["loc"]) > 1:
                table = Person if found["loc"][0] == "people" else Case
            return f"{place}: unknown key{_near(key, table.model_fields)}"
        case "missing":
            return f"{place}: missing"
        case _:
            return f"{place}: {found['msg']}"
