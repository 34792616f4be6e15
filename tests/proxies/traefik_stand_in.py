"""Traefik's forwardAuth as its source has it (3.7), with the values of the files of `deploy/traefik/`.

The program itself is in no registry that the tests use, so this is all that they know of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

import yaml

from tests.proxies.deployed import Places
from tests.proxies.stand_in import Answer, Question, Request
from tests.proxies.starters import CERTIFICATE, KEY
from tests.repository import ROOT

HOP_BY_HOP = ("connection", "keep-alive", "te", "trailers", "transfer-encoding", "upgrade")
FORWARDED = (
    *("x-forwarded-proto", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-server"),
    *("x-forwarded-uri", "x-forwarded-method", "x-forwarded-prefix", "x-real-ip"),
    *("x-forwarded-tls-client-cert", "x-forwarded-tls-client-cert-info"),
)
"""What an entry point takes out of the request of a client that is not in `trustedIPs`."""
SECONDS = 30.0
VALID_ESCAPE = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")
VALID_PATH = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/\[\]]|%[0-9A-Fa-f]{2})*")
RULE = re.compile(r"\(?(Host\(`[^`]*`\)(?: \|\| Host\(`[^`]*`\))*)\)?(?: && (PathRegexp|Path)\(`([^`]*)`\))?")


def traefik_changes(places: Places, use: str) -> Mapping[str, str]:
    return {CERTIFICATE: str(places.certificate), KEY: str(places.key)}


class TraefikStandIn:
    """Does what Traefik does with the routers and the middleware of the file."""

    def __init__(self, text: str) -> None:
        http = yaml.safe_load(text)["http"]
        static = yaml.safe_load((ROOT / "deploy" / "traefik" / "traefik.yaml").read_text(encoding="utf-8"))
        entry = static["entryPoints"]["websecure"]
        assert entry["http"]["sanitizePath"] is False, "this stand-in does not tidy paths up"
        assert "forwardedHeaders" not in entry, "this stand-in trusts no client"
        self._routers: list[dict[str, Any]] = sorted(
            http["routers"].values(), key=lambda router: int(router.get("priority", 0)), reverse=True
        )
        self._services = {
            name: urlsplit(service["loadBalancer"]["servers"][0]["url"]).port
            for name, service in http["services"].items()
        }
        self._asking: dict[str, Any] = http.get("middlewares", {}).get("ask-vestibule", {}).get("forwardAuth", {})

    def received(self, request: Request, *, client: str) -> Request | Answer:
        if not request.target.startswith("/") or VALID_ESCAPE.fullmatch(request.raw_path) is None:
            return Answer(400)
        path, mark, query = request.target.partition("?")
        if VALID_PATH.fullmatch(path) is None:  # Go writes such a path anew
            path = quote(unquote_to_bytes(path.encode("latin-1")), safe="/$&+,:;=@-._~")
        rest = request.without(*FORWARDED)
        added = (("X-Real-Ip", client), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", rest.values("host")[0]))
        return replace(rest, target=path + mark + query, headers=(*rest.headers, *added))

    def place_of(self, request: Request) -> tuple[int, bool] | Answer:
        host = request.values("host")[0].partition(":")[0]
        path = unquote_to_bytes(request.raw_path).decode("utf-8", "replace")
        for router in self._routers:
            found = RULE.fullmatch(router["rule"])
            assert found is not None, router["rule"]
            named, kind, value = found.groups()
            matches = kind is None or (path == value if kind == "Path" else re.search(value, path))
            if f"Host(`{host}`)" in named and matches:
                port = self._services[router["service"]]
                assert port is not None
                return port, "ask-vestibule" in router.get("middlewares", [])
        return Answer(404)

    def question(self, request: Request, *, client: str) -> Question:
        address = urlsplit(self._asking["address"])
        assert address.port is not None
        listed = [name.strip().lower() for value in request.values("connection") for name in value.split(",")]
        copied = request.without(*listed, *HOP_BY_HOP, "host", "content-length", "trailer", *FORWARDED[:1])
        if only := self._asking.get("authRequestHeaders"):
            allowed = {name.lower() for name in only}
            copied = replace(copied, headers=tuple(line for line in copied.headers if line[0].lower() in allowed))
        told = {
            "X-Forwarded-For": client,
            "X-Forwarded-Method": request.method,
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": request.values("host")[0],
            "X-Forwarded-Uri": request.target,
        }
        kept = copied.without(*told).headers
        agent = [line for line in kept if line[0].lower() == "user-agent"] or [("User-Agent", "Go-http-client/1.1")]
        rest = [(_canonical(name), value) for name, value in kept if name.lower() != "user-agent"]
        if not copied.values("accept-encoding"):
            rest.append(("Accept-Encoding", "gzip"))
        lines = (("Host", address.netloc), *agent, *sorted([*rest, *told.items()], key=lambda line: line[0]))
        return Question(address.port, Request("GET", address.path, lines), SECONDS)

    def answered(self, request: Request, answer: Answer | None) -> Request | Answer:
        if answer is None:
            return Answer(500)
        if not 200 <= answer.status < 300:
            return replace(answer, headers=tuple(line for line in answer.headers if line[0].lower() not in HOP_BY_HOP))
        named = {name.lower() for name in self._asking.get("authResponseHeaders", [])}
        pattern = re.compile(self._asking.get("authResponseHeadersRegex") or r"(?!)")
        kept = [
            line for line in request.headers if line[0].lower() not in named and not pattern.search(_canonical(line[0]))
        ]
        copied = [line for line in answer.headers if line[0].lower() in named or pattern.search(_canonical(line[0]))]
        return replace(request, headers=(*kept, *copied))

    def sent_on(self, request: Request) -> Request:
        return request


def _canonical(name: str) -> str:
    """Go's form of a header name."""
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))
