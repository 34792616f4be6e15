"""Try a token of the front door at an API, as a person's call would bring it, and say what the API refused.

The person of the token is nobody: it has no roles. The request is a GET that the API's own description says needs a
token and no parameters.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from bff.contract import HEADER_UPSTREAM, Identity
from bff.sessions.assertion import Assertions
from bff.sessions.keyring import Keyring
from bff.sessions.record import Session, TokenSet
from bff.settings.public_urls import PublicUrls
from bff.settings.tables import RouteSettings, Settings
from gateway.logs import one_line

SUBJECT = "vestibule-doctor"
SECONDS = 5.0
MOST_DESCRIPTION = 4 << 20
MOST_REASON = 300
DESCRIPTION = re.compile(r'error_description="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Probed:
    """The result. `message` is for the person who runs the API."""

    level: Literal["ok", "warning", "fault"]
    message: str


def has_probe(route: RouteSettings) -> bool:
    """True if the front door signs the tokens of this API itself, so that it can make one."""
    return route.token == "assertion" and bool(route.upstream) and route.upstream[0].startswith(("http://", "https://"))


def probe_api(route: RouteSettings, settings: Settings, *, clock: Callable[[], float] = time.time) -> Probed:
    """Ask the API. It blocks for a few seconds at most, and never raises."""
    base = route.upstream[0].rstrip("/") + ("" if route.strip_prefix else route.path.rstrip("/"))
    token = make_token(route, settings, clock=clock)
    headers = {route.assertion_header: token} if route.assertion_header else {"Authorization": f"Bearer {token}"}
    if secret := route.upstream_secret.get_secret_value():
        headers[HEADER_UPSTREAM] = secret
    try:
        with httpx.Client(timeout=SECONDS, trust_env=False, verify=route.ca_file or True, headers=headers) as http:
            path = choose_path(_description(http, base))
            if not path:
                return Probed("ok", f"no token was tried: {base}/openapi.json names no GET that needs one")
            answer = http.get(base + path)
    except (httpx.HTTPError, OSError) as exc:
        return Probed("warning", f"no token could be tried at {base}: {type(exc).__name__}")
    return judge(answer.status_code, reason_of(answer), f"GET {base}{path}", route=route, settings=settings)


def make_token(route: RouteSettings, settings: Settings, *, clock: Callable[[], float]) -> str:
    """Make a token for the API of `route` that names nobody who exists."""
    now, urls = clock(), PublicUrls(settings.server.public_url.rstrip("/"))
    keyring = Keyring([key.get_secret_value().encode() for key in settings.secrets.keys])
    identity = Identity(sub=SUBJECT, iss=urls.base, provider="", auth_time=int(now), expires_at=int(now) + 60)
    session = Session(
        name=SUBJECT,
        revision=0,
        identity=identity,
        tokens=TokenSet(),
        sid="",
        origin=urls.base,
        created_at=now,
        login_started_at=now,
        absolute_expires_at=now + 60,
    )
    return Assertions(keyring, issuer=urls.base, clock=clock).for_upstream(session, audience=route.audience).token


def choose_path(description: Mapping[str, Any]) -> str:
    """Return the path of the first GET that needs a token and nothing else; "" if there is none."""
    paths = description.get("paths")
    for path, operations in paths.items() if isinstance(paths, dict) else ():
        get = operations.get("get") if isinstance(operations, dict) else None
        if not isinstance(get, dict) or "{" in path or not path.startswith("/"):
            continue
        needs_more = any(isinstance(one, dict) and one.get("required") for one in get.get("parameters") or ())
        if get.get("security", description.get("security")) and not needs_more:
            return str(path)
    return ""


def judge(status: int, reason: str, request: str, *, route: RouteSettings, settings: Settings) -> Probed:
    """Return what an answer means."""
    urls = PublicUrls(settings.server.public_url.rstrip("/"))
    said = f" ({reason})" if reason else ""
    if status == 401:
        return Probed(
            "fault",
            f"{request} refuses the front door's token{said}; it must expect the issuer {urls.base} and the audience "
            f"{route.audience} (VESTIBULE_JWT__ISSUER, VESTIBULE_JWT__AUDIENCE), exactly",
        )
    if status == 503:
        return Probed(
            "warning",
            f"{request} cannot check the front door's token{said}: does the front door run, and is "
            "VESTIBULE_JWT__JWKS_URL its address for this API?",
        )
    return Probed("ok", f"{request} takes the front door's token (status {status})")


def reason_of(answer: httpx.Response) -> str:
    """Return what the API says of a refusal, on one short line."""
    found = DESCRIPTION.search(answer.headers.get("WWW-Authenticate", ""))
    if found:
        return one_line(found[1])[:MOST_REASON]
    try:
        detail = json.loads(answer.content[:MOST_DESCRIPTION])["detail"]
    except (ValueError, RecursionError, TypeError, KeyError):
        return ""
    text = detail.get("error_description", "") if isinstance(detail, dict) else detail
    return one_line(text)[:MOST_REASON] if isinstance(text, str) else ""


def _description(http: httpx.Client, base: str) -> Mapping[str, Any]:
    answer = http.get(f"{base}/openapi.json")
    if answer.status_code != 200 or len(answer.content) > MOST_DESCRIPTION:
        return {}
    try:
        description = json.loads(answer.content)
    except (ValueError, RecursionError):
        return {}
    return description if isinstance(description, dict) else {}
