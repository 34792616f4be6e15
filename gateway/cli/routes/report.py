"""Print an explanation: as lines for people, or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bff.settings.tables import RouteSettings, Settings
from gateway.cli.routes.explanation import Explanation
from gateway.cli.routes.offline_door import Decided
from gateway.cli.routes.outgoing import outgoing_headers

_MARKS = {True: "ok", False: "no", None: ""}
_SIGN_IN_CODES = ("login_required", "step_up_required")


def result_of(decided: Decided) -> str:
    """Write a decision in one line: `allowed`, `answered: 200`, `refused: 403 forbidden (require.roles_any)`."""
    if decided.outcome == "allowed":
        return "allowed"
    why = f" {decided.code}" if decided.code else ""
    return f"{decided.outcome}: {decided.status}{why}" + (f" ({decided.detail})" if decided.detail else "")


def as_text(explanation: Explanation, settings: Settings) -> str:
    """Write one line for each step, then the result, then what goes to the upstream."""
    return "\n".join(_lines(explanation, settings))


def as_json(explanation: Explanation, settings: Settings) -> dict[str, Any]:
    """Return the same as a document."""
    question, decided = explanation.question, explanation.decided
    who = question.who
    document: dict[str, Any] = {
        "method": question.method,
        "host": question.host,
        "target": question.target.decode("latin-1"),
        "websocket": question.is_websocket,
        "origin": question.origin,
        "who": {"kind": who.kind, "sub": who.claims.get("sub", ""), "provider": who.provider},
        "result": decided.outcome,
        "status": decided.status,
        "code": decided.code,
        "detail": decided.detail,
        "route": decided.route,
        "steps": [{"subject": step.subject, "says": step.says, "holds": step.holds} for step in explanation.steps],
    }
    route = settings.route(decided.route)
    if decided.outcome == "allowed" and route is not None:
        document["upstream"] = list(route.upstream)
        document["upstream_target"] = decided.target
        document["headers"] = [list(one) for one in outgoing_headers(decided, route, is_machine=who.is_machine)]
    return document


def _lines(explanation: Explanation, settings: Settings) -> Iterator[str]:
    question, decided = explanation.question, explanation.decided
    who, route = question.who, settings.route(decided.route)
    yield question.address
    yield f"as {who.kind}" + ("" if who.is_anonymous else f": {who.claims['sub']}, provider {who.provider}")
    yield ""
    for step in explanation.steps:
        yield f"{_MARKS[step.holds]:<4}{step.subject:<10}{step.says}".rstrip()
    yield ""
    yield result_of(decided)
    if decided.code in _SIGN_IN_CODES and (route is None or route.kind != "api"):
        yield "A browser that opens this address is sent to the sign-in, and comes back here."
    if decided.outcome == "allowed" and route is not None:
        yield from _upstream_lines(explanation, route)


def _upstream_lines(explanation: Explanation, route: RouteSettings) -> Iterator[str]:
    question, decided = explanation.question, explanation.decided
    servers = " or ".join(route.upstream) or "no upstream: a proxy that asks /auth/verify gets these headers"
    yield f"{question.method} {decided.target} goes to {servers}"
    for name, value in outgoing_headers(decided, route, is_machine=question.who.is_machine):
        yield f"    {name}: {value}".rstrip()
