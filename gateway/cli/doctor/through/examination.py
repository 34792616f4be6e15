"""`vestibule doctor --through URL`: look at the running door from outside, through the real proxy.

The command runs beside the door, with its configuration. So it can sign probes, which the door answers to nobody else,
and compare what it sent with what arrived.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from bff.browser.cookies import build_set_cookie
from bff.settings.tables import Settings
from gateway.cli.doctor.checks import Finding, Report
from gateway.cli.doctor.through.arrival import Expected, forged_headers, judge_arrival, judge_cookie
from gateway.cli.doctor.through.asking import Outside, outside_of
from gateway.cli.doctor.through.fixes import fix
from gateway.cli.doctor.through.flow import (
    look_at_body_size,
    look_at_heads,
    look_at_quiet,
    look_at_socket,
    look_at_stream,
    look_at_upload,
)
from gateway.cli.doctor.through.wire import NoAnswer, Place, Reply, request_head
from gateway.cli.doctor.through.wishes import Wishes
from gateway.probe.answers import COOKIE, INSECURE_COOKIE
from gateway.probe.token import SECONDS

_REDIRECTS: Final = (301, 302, 307, 308)
_MODES: Final = ("", "/nginx", "/traefik", "/caddy", "/envoy", "/haproxy", "/")


async def examine_through(settings: Settings, url: str, wishes: Wishes, *, clock: Callable[[], float]) -> Report:
    """Look at the door at `url`. Nobody is signed in, and no application gets a request.

    Raises:
        UsageFault: `url` is no address of this door.
    """
    outside = outside_of(settings, url, ca_file=wishes.ca_file)
    try:
        findings = [await _front(outside, now=clock())]
    except NoAnswer as failure:
        return Report((), (Finding("fault", "address", f"{outside.urls.origin}: {failure}"),))
    findings += [finding async for finding in _addresses(outside, wishes)]
    if findings[0].level == "ok":  # without an answer nothing more can be seen
        findings += await _passages(outside, wishes, now=clock)
    return Report((), tuple(findings))


async def _front(outside: Outside, *, now: float) -> Finding:
    """Ask once without anything odd: everything else needs an answer to this."""
    nonce, head = outside.head("look", now=now)
    reply = await outside.get(head)
    seen = _seen(reply)
    if seen is not None and seen["nonce"] == nonce:
        how = "with a certificate that holds" if outside.place.tls else "over plain http"
        return Finding("ok", "address", f"{outside.urls.origin} reaches this front door {how}")
    if seen is not None:
        return Finding(
            "fault", "address", f"an old answer came back: a cache keeps what says no-store; {fix('cached')}"
        )
    return Finding("fault", "address", f"{_why_not_answered(reply)}")


def _why_not_answered(reply: Reply) -> str:
    match reply.status:
        case 404:
            return "404: what answers there has other secrets.keys, or the proxy drops X-Vestibule-Probe"
        case 502 | 503 | 504:
            return f"{reply.status}: the proxy does not reach the front door; is it running, at the proxy's address?"
        case status:
            return f"{status}: the request does not reach this front door"


def _seen(reply: Reply) -> dict[str, Any] | None:
    try:
        document = json.loads(reply.body)
    except ValueError:
        return None
    return document if reply.status == 200 and isinstance(document, dict) and "nonce" in document else None


async def _addresses(outside: Outside, wishes: Wishes) -> AsyncIterator[Finding]:
    if outside.place.tls is not None and (outside.place.port == 443 or wishes.http_port):
        yield await _redirect(outside, port=wishes.http_port or 80)
    yield await _verify(outside)


async def _redirect(outside: Outside, *, port: int) -> Finding:
    plain, host = Place(outside.place.host, port, None), outside.place.named
    path = f"{outside.urls.base_path}{outside.urls.auth_path}/session?probe=1"
    wanted = f"{outside.urls.origin}{path}"
    # The Host that a browser sends there, whatever port a test of a proxy has.
    head = request_head("GET", path, Place(outside.place.host, 80, None), ())
    try:
        reply = await replace(outside, place=plain).get(head)
    except NoAnswer as failure:
        return Finding("warning", "redirect", f"plain http at port {port}: {failure}; {fix('redirect', host=host)}")
    where = reply.header("location")
    if reply.status in _REDIRECTS and where == wanted:
        return Finding("ok", "redirect", "plain http leads to the same address with https")
    got = f"{reply.status}, to {where}" if where else str(reply.status)
    return Finding(
        "fault", "redirect", f"plain http is answered with {got}, not sent to https; {fix('redirect', host=host)}"
    )


async def _verify(outside: Outside) -> Finding:
    """Ask for the addresses of forward-auth, as an attacker would."""
    auth = outside.urls.base_path + outside.urls.auth_path
    asked = [
        ("X-Original-URL", outside.urls.origin + outside.urls.base_path + "/"),
        ("X-Original-Method", "GET"),
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Uri", "/"),
    ]
    answered: list[str] = []
    for mode in _MODES:
        target = f"{auth}/verify{mode}"
        reply = await outside.get(request_head("GET", target, outside.place, asked))
        if reply.status == 421:
            return Finding("ok", "verify", "not looked at: the door answers 421 until the right Host arrives")
        if reply.status != 404:
            answered.append(f"{target} ({reply.status})")
    if not answered:
        return Finding("ok", "verify", f"{auth}/verify is not reachable from outside")
    says = f"{', '.join(answered)} answers from outside: scripts of a page could read tokens there"
    return Finding("fault", "verify", f"{says}; {fix('verify', auth=auth, bind=outside.settings.server.bind)}")


async def _passages(outside: Outside, wishes: Wishes, *, now: Callable[[], float]) -> list[Finding]:
    """Look at everything that passes the proxy, at once: each probe has a connection of its own."""
    seconds = min(wishes.quiet_seconds, 2 * SECONDS)
    asked: list[Awaitable[list[Finding]]] = [
        _tolerant("arrival", _arrival(outside, now=now())),
        *(
            _tolerant(part, _one(look(outside, now=now())))
            for part, look in (
                ("upgrade", look_at_socket),
                ("answers", look_at_stream),
                ("requests", look_at_upload),
                ("body", look_at_body_size),
            )
        ),
        _tolerant("heads", look_at_heads(outside, now=now())),
        _tolerant("time-outs", look_at_quiet(outside, now=now(), seconds=seconds)),
    ]
    return [finding for group in await asyncio.gather(*asked) for finding in group]


async def _one(finding: Awaitable[Finding]) -> list[Finding]:
    return [await finding]


async def _tolerant(part: str, findings: Awaitable[Iterable[Finding]]) -> list[Finding]:
    """Turn a missing answer into a finding, so that the others are still reported."""
    try:
        return list(await findings)
    except NoAnswer as failure:
        return [Finding("fault", part, str(failure))]


async def _arrival(outside: Outside, *, now: float) -> list[Finding]:
    secure = outside.urls.is_secure
    name = COOKIE if secure else INSECURE_COOKIE
    forged = forged_headers(outside.settings.routes, scheme="https" if secure else "http")
    nonce, head = outside.head("look", now=now, headers=[*forged, ("Cookie", f"{name}=x")])
    reply = await outside.get(head)
    seen = _seen(reply)
    if seen is None:
        return [Finding("fault", "arrival", f"a request with forged headers is answered with {reply.status}")]
    expected = Expected(outside.place.named, "https" if secure else "http")
    sent = build_set_cookie(name, nonce, secure=secure, max_age=SECONDS)
    if seen["nonce"] != nonce:
        says = "an old answer came back: a cache keeps what says no-store"
        return [Finding("fault", "cache", f"{says}; {fix('cached')}")]
    return [
        *judge_arrival(seen, expected, outside.settings.server),
        judge_cookie(reply.all("set-cookie"), sent),
    ]
