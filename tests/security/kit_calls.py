"""What two kit clients do: they sign a person in by auth-code mode, and call the endpoints for kits."""

from __future__ import annotations

import base64
import hashlib
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.fakes import CookieClient
from tests.security.house import House

TRUST = ssl.create_default_context()
ORIGINS = {"app-a": "http://localhost:8501", "app-b": "http://localhost:8502"}
KIT_CLIENTS: dict[str, dict[str, Any]] = {
    "app-a": {
        "secret": "unit-test-kit-secret-of-app-a",
        "routes": ["api", "models"],
        "audiences": ["models-api", "plain-api"],
        "origins": [ORIGINS["app-a"]],
    },
    "app-b": {
        "secret": "unit-test-kit-secret-of-app-b",
        "routes": ["api"],
        "audiences": ["other-api"],
        "origins": [ORIGINS["app-b"]],
    },
}


def binding_of(xsrf: str) -> str:
    """What a browser whose unmasked `_streamlit_xsrf` token is `xsrf` is known by."""
    return base64.urlsafe_b64encode(hashlib.sha256(xsrf.encode()).digest()).rstrip(b"=").decode()


BINDING = binding_of("browser of alice")


@dataclass(frozen=True)
class Code:
    """A one-time code on its way to an app, and the browser that carries it."""

    value: str
    browser: CookieClient
    answer: httpx.Response


def fetch_code(house: House, person: str = "alice", *, client: str = "app-a", binding: str = BINDING) -> Code:
    """Sign `person` in for `client`, up to the redirect that carries the code."""
    browser = house.browser()
    house.provider.options.auto_login = person
    query = {"kit": client, "binding": binding, "return_to": f"{ORIGINS[client]}/page?x=1"}
    answer = browser.get(house.callback_url(browser, **query))
    assert answer.status_code == 303, answer.text
    target = urlsplit(answer.headers["location"])
    assert f"{target.scheme}://{target.netloc}{target.path}" == f"{ORIGINS[client]}/page"
    values = parse_qs(target.query)
    assert (set(values), values["x"]) == ({"x", "auth_code"}, ["1"])
    return Code(values["auth_code"][0], browser, answer)


def kit_headers(client: str = "app-a", *, handle: str = "") -> dict[str, str]:
    headers = {"X-Vestibule-Kit": f"{client}:{KIT_CLIENTS[client]['secret']}"}
    return {**headers, "X-Vestibule-Session": handle} if handle else headers


def call(house: House, path: str, *, method: str = "POST", headers: Any = None, **how: Any) -> httpx.Response:
    """One call from an app's server, to an endpoint for kits or, with a slash in front, to any path."""
    url = house.url + (path if path.startswith("/") else f"/auth/kit/{path}")
    with httpx.Client(verify=TRUST) as http:
        return http.request(method, url, headers=headers or {}, **how)


def redeem(house: House, code: str, *, client: str = "app-a", binding: str = BINDING, **how: Any) -> httpx.Response:
    headers = how.pop("headers", {})
    body = {"code": code, "binding": binding}
    return call(house, "exchange", headers={**kit_headers(client), **headers}, json=body, **how)


def fetch_handle(house: House, person: str = "alice", *, client: str = "app-a") -> tuple[str, CookieClient]:
    """A session handle of `client` for `person`, and the browser of the session behind it."""
    code = fetch_code(house, person, client=client)
    answer = redeem(house, code.value, client=client)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["session_handle"]), code.browser


def ask_token(house: House, handle: str, audience: str = "models-api", *, client: str = "app-a") -> httpx.Response:
    return call(house, "token", headers=kit_headers(client, handle=handle), json={"audience": audience})
