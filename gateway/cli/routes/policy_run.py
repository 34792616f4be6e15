"""Compare the front door's decisions with a table of expected ones, and say what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bff.settings.tables import Settings
from gateway.cli.routes.explanation import Explanation, explain
from gateway.cli.routes.offline_door import Decided, OfflineDoor
from gateway.cli.routes.policy_file import NO_ROUTE, Expected
from gateway.cli.routes.report import result_of


@dataclass(frozen=True, slots=True)
class Compared:
    """A case and what came of it."""

    expected: Expected
    explanation: Explanation

    @property
    def decided(self) -> Decided:
        return self.explanation.decided

    @property
    def is_as_expected(self) -> bool:
        return self.result_holds and self.route_holds

    @property
    def result_holds(self) -> bool:
        """A word says what happens; a number is a status, anything else a reason code: of what is not let in."""
        decided = self.decided
        if self.expected.result in ("allowed", "answered"):
            return decided.outcome == self.expected.result
        return decided.outcome != "allowed" and self.expected.result in (str(decided.status), decided.code)

    @property
    def route_holds(self) -> bool:
        return self.expected.route in ("", self.decided.route or NO_ROUTE)


async def compare(settings: Settings, cases: Sequence[Expected]) -> list[Compared]:
    """Let the front door decide every case."""
    door = OfflineDoor(settings)
    try:
        return [Compared(case, await explain(door, case.question)) for case in cases]
    finally:
        await door.aclose()


def routes_without_a_case(settings: Settings, compared: Sequence[Compared]) -> list[str]:
    tested = {one.decided.route for one in compared}
    return [route.id for route in settings.routes if route.id not in tested]


def as_text(compared: Sequence[Compared]) -> str:
    """Write what differs, and one line with the count."""
    return "\n".join(_lines(compared))


def as_json(compared: Sequence[Compared]) -> list[dict[str, Any]]:
    return [
        {
            "case": one.expected.place,
            "name": one.expected.name,
            "request": one.expected.question.address,
            "who": one.expected.who,
            "expected": {"result": one.expected.result, "route": one.expected.route},
            "found": {
                "result": one.decided.outcome,
                "status": one.decided.status,
                "code": one.decided.code,
                "detail": one.decided.detail,
                "route": one.decided.route,
            },
            "ok": one.is_as_expected,
        }
        for one in compared
    ]


def _lines(compared: Sequence[Compared]) -> Iterator[str]:
    wrong = [one for one in compared if not one.is_as_expected]
    for one in wrong:
        yield from _difference(one)
        yield ""
    if wrong:
        yield f"{len(wrong)} of {len(compared)} cases differ"
    else:
        yield f"ok: {len(compared)} {'case' if len(compared) == 1 else 'cases'}"


def _difference(one: Compared) -> Iterator[str]:
    expected = one.expected
    name = f' "{expected.name}"' if expected.name else ""
    yield f"{expected.place}{name}: {expected.question.address} as {expected.who}"
    if not one.result_holds:
        yield f"  - result  {expected.result}"
        yield f"  + result  {result_of(one.decided)}"
    if not one.route_holds:
        yield f"  - route   {expected.route}"
        yield f"  + route   {one.decided.route or NO_ROUTE}"
    failed = [step for step in one.explanation.steps if step.holds is False]
    for step in failed or [step for step in one.explanation.steps if step.subject == "require"]:
        yield f"    {step.subject}: {step.says}"
