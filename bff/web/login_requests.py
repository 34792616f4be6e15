"""Read requests to `/auth/login`: who may start a sign-in, and with which parameters. Pure."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from bff.browser.csrf import FetchMetadata
from bff.errors import BadRequest, Forbidden, LoginRequired
from bff.login.sign_in import LoginRequest

KNOWN = frozenset(
    {"return_to", "return_id", "provider", "prompt", "login_hint", "max_age", "ui_locales", "kit", "binding", "check"}
)
PROMPTS = frozenset({"login", "consent", "select_account", "none"})
_HINT = re.compile(r"[!-~ ]{1,200}")
_LOCALES = re.compile(r"[A-Za-z0-9-]{1,35}( [A-Za-z0-9-]{1,35}){0,9}")


def query_pairs(query: bytes, *, code: str) -> list[tuple[str, str]]:
    """Return the decoded parameters in order.

    Raises:
        BadRequest: `code`, if they are not form encoded or too many.
    """
    try:
        return parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100, encoding="utf-8"
        )
    except (ValueError, UnicodeDecodeError):
        raise BadRequest(code, detail="parameters are not form encoded") from None


def check_navigation(fetch: FetchMetadata, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Check that the request is a top-level navigation. Nothing else may start a sign-in.

    Raises:
        LoginRequired: a script asked. It must send the page there instead.
        Forbidden: `login_embedded`, an image, frame, script or prefetch asked.
    """
    names = dict(headers)
    if b"prefetch" in names.get(b"sec-purpose", b"") + names.get(b"purpose", b""):
        raise Forbidden("login_embedded", "Signing in cannot be prefetched.")
    if fetch.dest in ("", "document") and fetch.mode in ("", "navigate"):
        if names.get(b"x-requested-with", b"").lower() == b"xmlhttprequest":
            raise LoginRequired()
        return
    if fetch.dest in ("", "empty") and fetch.mode in ("cors", "same-origin"):
        raise LoginRequired()
    raise Forbidden("login_embedded", "The sign-in cannot be shown inside another page.")


@dataclass(frozen=True, slots=True)
class WantedTarget:
    """Where a sign-in should lead, as its request says it: an address, or the name under which the store has one."""

    address: str = ""
    kept_as: str = ""


def parse_login_request(query: bytes, *, providers: Collection[str]) -> tuple[LoginRequest, WantedTarget]:
    """Return the request and its target. Unknown parameters are ignored; known ones must be right and unique.

    Raises:
        BadRequest: `login_parameters`, `unknown_provider`.
    """
    pairs = [(name, value) for name, value in query_pairs(query, code="login_parameters") if name in KNOWN]
    values = {name: value for name, value in pairs if value}
    if len({name for name, _ in pairs}) != len(pairs):
        raise BadRequest("login_parameters", detail="a parameter came twice")
    if "return_to" in values and "return_id" in values:
        raise BadRequest("login_parameters", detail="return_to and return_id together")
    provider = values.get("provider", "")
    if provider and provider not in providers:
        provider = _provider_of_streamlit(provider)
        if provider not in providers:
            raise BadRequest("unknown_provider", "There is no such identity provider here.")
    prompt, hint, locales = (values.get(name, "") for name in ("prompt", "login_hint", "ui_locales"))
    if (
        (prompt and prompt not in PROMPTS)
        or (hint and not _HINT.fullmatch(hint))
        or (locales and not _LOCALES.fullmatch(locales))
    ):
        raise BadRequest("login_parameters", detail="prompt, login_hint or ui_locales not acceptable")
    request = LoginRequest(
        provider=provider,
        return_to="/",
        prompt=prompt,
        login_hint=hint,
        ui_locales=locales,
        max_age=_max_age(values.get("max_age", "")),
        kit_client=values.get("kit", ""),
        kit_binding=values.get("binding", ""),
        trial=values.get("check", ""),
    )
    return request, WantedTarget(values.get("return_to", ""), values.get("return_id", ""))


def _max_age(text: str) -> float | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise BadRequest("login_parameters", detail="max_age is not a number of seconds")
    return float(text)


def _provider_of_streamlit(text: str) -> str:
    """Read the provider's name from the JWT that `st.login("corp")` sends. It is signed for Streamlit, not for us."""
    try:
        payload = text.split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims["provider"])
    except (IndexError, ValueError, KeyError, TypeError, RecursionError):
        return ""
