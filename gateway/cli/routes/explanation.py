"""Explain a decision step by step: what the front door looks at, and what it finds. The result is the front door's own.

Each step asks the function that the pipeline asks. Steps explain; `Explanation.decided` decides.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from bff.browser.service_workers import asks_for_worker
from bff.contract import OAUTH2_PATH
from bff.errors import AuthError
from bff.settings.tables import RouteSettings
from gateway.access.cors import answer_preflight
from gateway.access.credentials import Caller
from gateway.access.origins import check_origin
from gateway.access.paths import AmbiguousPath, canonical_path, is_plain
from gateway.access.places import Places
from gateway.access.request import Incoming
from gateway.access.routes import RouteTable, is_method_allowed
from gateway.cli.routes.offline_door import Decided, OfflineDoor
from gateway.cli.routes.questions import Question
from gateway.cli.routes.requirements import requirement_steps
from gateway.cli.routes.steps import Step
from gateway.streamlit.paths import is_denied, treatment


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision and how it came about."""

    question: Question
    decided: Decided
    steps: tuple[Step, ...]


async def explain(door: OfflineDoor, question: Question) -> Explanation:
    """Ask the front door, and follow the same way step by step."""
    decided = await door.ask(question)
    steps = [step async for step in _steps(door, question)]
    if decided.outcome == "refused" and all(step.holds is not False for step in steps):
        steps.append(Step("rule", f"{decided.code}: docs/errors.md says more", holds=False))
    return Explanation(question, decided, tuple(steps))


async def _steps(door: OfflineDoor, question: Question) -> AsyncIterator[Step]:
    if fault := door.head_fault(question):
        yield Step("request", f"the server refuses such a request: {fault.code}", holds=False)
        return
    yield _host_step(door, question)
    try:
        incoming = await door.read(question)
        door.admission.check_place(incoming)
    except AuthError as error:
        if error.status != 421:
            yield _path_step(door, question, error)
        return
    shown = f"{incoming.path}, as below {incoming.facts.urls.base}" if incoming.facts.urls.base_path else incoming.path
    how = "there is one way to read it" if is_plain(incoming.raw_path) else "all readings lead to the same place"
    yield Step("path", f"{shown}: {how}", holds=True)
    if own := _own_address(door, incoming):
        yield own
        return
    route = door.admission.match(incoming)
    for step in _route_steps(door, incoming, route):
        yield step
    caller = await _caller(door, incoming, route)
    if isinstance(caller, AuthError):
        yield Step("sign-in", f"the token is refused: {caller.code}", holds=False)
        return
    for step in _nowhere_steps(incoming, caller) if route is None else _on_route(door, incoming, route, caller):
        yield step
        if step.ends:
            return


def _host_step(door: OfflineDoor, question: Question) -> Step:
    urls = door.bff.origins.get(question.host)
    if urls is None:
        known = ", ".join(one.host for one in dict.fromkeys(door.bff.origins.values()))
        return Step("host", f"{question.host} is not served; served are: {known}", holds=False)
    where = "server.public_url" if urls == door.bff.urls else "server.origins"
    return Step("host", f"{question.host} is of {where}", holds=True)


def _places(door: OfflineDoor) -> Places:
    return Places(door.settings.routes, auth_path=door.settings.server.auth_path, treatment=treatment)


def _path_step(door: OfflineDoor, question: Question, error: AuthError) -> Step:
    shown = question.raw_path.decode("latin-1")
    if not isinstance(error, AmbiguousPath):
        return Step("path", f"{shown} is outside of {door.bff.urls.base}", holds=False)
    says = f"{shown} is ambiguous: {error.detail}"
    if error.reading:
        says += f". One reading is {error.reading!a}"
        if error.leads_elsewhere:
            urls = door.bff.origins[question.host]
            here = canonical_path(question.raw_path.removeprefix(urls.base_path.encode()) or b"/")
            route = door.admission.routes.match(urls.host, here)
            says += f", which leads to {_places(door).name(urls.host, error.reading)}"
            says += f" and not to the route {route.id}" if route is not None else ", and this address to no route"
    return Step("path", says, holds=False)


def _own_address(door: OfflineDoor, incoming: Incoming) -> Step | None:
    server = door.settings.server
    if door.admission.belongs_to_auth(incoming):
        return Step("route", f"{server.auth_path} has the front door's own pages; no route gets them")
    if door.admission.is_reserved(incoming) and door.settings.compat.oauth2_proxy:
        return Step("route", f"compat.oauth2_proxy: {OAUTH2_PATH} has the names of oauth2-proxy; no route gets them")
    if door.admission.is_reserved(incoming):
        return Step("route", f"{OAUTH2_PATH} is reserved; no route gets it", holds=False)
    if incoming.path == "/healthz" and server.public_health:
        return Step("route", "server.public_health: the front door answers, no route gets this")
    return None


def _route_steps(door: OfflineDoor, incoming: Incoming, found: RouteSettings | None) -> Iterator[Step]:
    host, path = incoming.facts.urls.host, incoming.path
    if found is None:
        yield Step("route", "none covers this path at this host", holds=False)
    for route in door.admission.routes.in_order():
        if route is found:
            where = f" at host {route.host}" if route.host else ""
            how = "is exactly this path" if route.exact else "is the longest prefix"
            yield Step("route", f"{route.id} matches: {route.path}{where} {how}", holds=True)
        else:
            yield Step("", f"not {route.id}: {_why_not(route, host, path, found)}")


def _why_not(route: RouteSettings, host: str, path: str, found: RouteSettings | None) -> str:
    if RouteTable([route]).match(host, path) is None:
        anywhere = route.model_copy(update={"host": ""})
        if RouteTable([anywhere]).match(host, path) is None:
            return f"{path} is not {'exactly' if route.exact else 'below'} {route.path}"
        return f"it is at host {route.host}"
    if found is not None and route.path.rstrip("/") == found.path.rstrip("/"):
        return f"it has the same path, but {found.id} names this host"
    return f"{route.path} is shorter"


async def _caller(door: OfflineDoor, incoming: Incoming, route: RouteSettings | None) -> Caller | AuthError:
    try:
        if route is None:
            return await door.admission.credentials.identify(incoming, None)
        return await door.admission.caller_of(incoming, route)
    except AuthError as error:
        return error


def _nowhere_steps(incoming: Incoming, caller: Caller) -> Iterator[Step]:
    if caller.live is None:
        yield Step("sign-in", "nobody is signed in, so nobody learns what is here", holds=False)
    elif incoming.path == "/":
        yield Step("sign-in", "the front door shows the list of this person's applications", holds=True)


def _on_route(door: OfflineDoor, incoming: Incoming, route: RouteSettings, caller: Caller) -> Iterator[Step]:
    if asks_for_worker(incoming.headers):
        yield Step("worker", "service workers have rules of their own")
    if is_denied(incoming.path, route):
        yield Step("path", "Streamlit's own address, which is closed to everybody", holds=False, ends=True)
    is_allowed = is_method_allowed(route, incoming.method)
    methods = ", ".join(route.methods) or "all but CONNECT and TRACE"
    yield Step("method", f"{incoming.method}; the route takes {methods}", holds=is_allowed, ends=not is_allowed)
    yield from _cors_steps(incoming, route)
    yield _origin_step(incoming, route, caller)
    yield _sign_in_step(route, caller, incoming)
    if caller.live is not None:
        yield from requirement_steps(route, caller.live, now=door.bff.clock())


def _origin_step(incoming: Incoming, route: RouteSettings, caller: Caller) -> Step:
    is_socket = incoming.scope["type"] == "websocket"
    asked = incoming.facts.fetch.origin or "this host itself, or a program"
    rule = f"ws_origins = {_listed(route.ws_origins)}" if is_socket else f'csrf = "{route.csrf}"'
    try:
        check_origin(incoming, route, caller)
    except AuthError as error:
        return Step("origin", f"asked from {asked}; {rule}: {error.code}", holds=False, ends=True)
    if caller.live is None or caller.is_machine:
        rule = "there is no cookie that another site could misuse" if not is_socket else rule
    return Step("origin", f"asked from {asked}; {rule}", holds=True)


def _cors_steps(incoming: Incoming, route: RouteSettings) -> Iterator[Step]:
    origin = incoming.facts.fetch.origin
    if incoming.scope["type"] == "websocket" or not origin or origin == incoming.facts.urls.origin:
        return
    try:
        answer_preflight(incoming.method.encode(), origin, (), route)
    except AuthError as error:
        says = f"a browser asks first whether {origin} may send this, and gets {error.status} {error.code}"
        yield Step("cors", f"{says}; cors_origins = {_listed(route.cors_origins)}", holds=False)
    else:
        yield Step("cors", f"cors_origins names {origin}: its scripts may read the answer", holds=True)


def _sign_in_step(route: RouteSettings, caller: Caller, incoming: Incoming) -> Step:
    rule = f'auth = "{route.auth}"'
    has_token = any(name == b"authorization" for name, _ in incoming.headers)
    if route.auth == "public":
        return Step("sign-in", f"{rule}: the route knows nobody, whoever asks", holds=True)
    if caller.live is not None:
        kind = "a machine's token of" if caller.is_machine else "signed in at"
        return Step("sign-in", f"{rule}: {kind} {caller.live.identity.provider}", holds=True)
    why = "nobody is signed in"
    if has_token:
        why = "the route takes no bearer tokens (accept_bearer), so a machine is nobody here"
    if route.auth == "optional":
        return Step("sign-in", f"{rule}: {why}, which is allowed", holds=True)
    return Step("sign-in", f"{rule}: {why}", holds=False, ends=True)


def _listed(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
