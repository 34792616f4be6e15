"""Envoy's ext_authz as its source has it (1.40), with the values of a file of `deploy/envoy/`.

`tests/proxies/test_envoy_itself.py` compares it with the real program, where that is there.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import yaml

from tests.proxies.stand_in import Answer, Question, Request

ALWAYS_ASKED = ("host", "authorization")
ALWAYS_TOLD = ("location", "www-authenticate", "content-length")
"""What a refusal keeps even if it is not in `allowed_client_headers`."""
DEFAULT_SECONDS = 0.2
Matches = Callable[[str], bool]


class EnvoyStandIn:
    """Does what Envoy does with the listener `https` of the file."""

    def __init__(self, text: str) -> None:
        config = yaml.safe_load(text)
        listener = next(one for one in config["static_resources"]["listeners"] if one["name"] == "https")
        self._manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        filters = {one["name"]: one["typed_config"] for one in self._manager["http_filters"]}
        self._authz = filters.get("envoy.filters.http.ext_authz", {})
        self._ports = {
            cluster["name"]: cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"][
                "socket_address"
            ]["port_value"]
            for cluster in config["static_resources"]["clusters"]
        }
        self._early = [
            re.compile(mutation["remove_on_match"]["key_matcher"]["safe_regex"]["regex"])
            for extension in self._manager["early_header_mutation_extensions"]
            for mutation in extension["typed_config"]["mutations"]
        ]

    def received(self, request: Request, *, client: str) -> Request | Answer:
        options = self._manager.get("common_http_protocol_options", {})
        drops_underscores = options.get("headers_with_underscores_action") == "DROP_HEADER"
        kept = [
            (name.lower(), value)
            for name, value in request.headers
            if not (drops_underscores and "_" in name)
            and not any(pattern.fullmatch(name.lower()) for pattern in self._early)
        ]
        if self._manager["use_remote_address"]:
            kept += [("x-forwarded-for", client), ("x-forwarded-proto", "https")]
        kept.append(("x-request-id", str(uuid.uuid4())))
        return replace(request, headers=tuple(kept))

    def place_of(self, request: Request) -> tuple[int, bool] | Answer:
        for route in self._routes_of(request.values("host")[0]):
            match: dict[str, Any] = route["match"]
            path = request.raw_path
            match match:
                case {"prefix": prefix}:
                    found = path.startswith(prefix)
                case {"path_separated_prefix": prefix}:
                    found = path == prefix or path.startswith(prefix + "/")
                case {"path": exact}:
                    found = path == exact
                case _:
                    found = re.fullmatch(match["safe_regex"]["regex"], path) is not None
            if found:
                per_route = route.get("typed_per_filter_config", {}).get("envoy.filters.http.ext_authz", {})
                if "direct_response" in route:
                    return Answer(route["direct_response"]["status"])
                is_asked = bool(self._authz) and not per_route.get("disabled", False)
                return self._ports[route["route"]["cluster"]], is_asked
        return Answer(404)

    def _routes_of(self, host: str) -> list[dict[str, Any]]:
        for virtual in self._manager["route_config"]["virtual_hosts"]:
            domains: list[str] = virtual["domains"]
            if host in domains or any(one.endswith("*") and host.startswith(one[:-1]) for one in domains):
                routes: list[dict[str, Any]] = virtual["routes"]
                return routes
        return []

    def question(self, request: Request, *, client: str) -> Question:
        service = self._authz["http_service"]
        allowed = _matcher(self._authz.get("allowed_headers"), ALWAYS_ASKED)
        joined = {"content-length": "0"}
        for name, value in request.headers:
            if allowed(name) and name != "content-length":
                joined[name] = f"{joined[name]},{value}" if name in joined else value
        headers = list(joined.items())
        seconds = float(service["server_uri"].get("timeout", f"{DEFAULT_SECONDS}s").removesuffix("s"))
        headers += [("x-envoy-internal", "true"), ("x-envoy-expected-rq-timeout-ms", str(int(seconds * 1000)))]
        target = service.get("path_prefix", "") + request.target
        port = self._ports[service["server_uri"]["cluster"]]
        return Question(port, Request(request.method, target, tuple(headers)), seconds)

    def answered(self, request: Request, answer: Answer | None) -> Request | Answer:
        rules = self._authz["http_service"].get("authorization_response", {})
        if answer is None or answer.status >= 500:
            if self._authz.get("failure_mode_allow"):
                return request
            code = {"ServiceUnavailable": 503}.get(self._authz.get("status_on_error", {}).get("code", ""), 403)
            return Answer(code)
        if answer.status != 200:
            allowed = rules.get("allowed_client_headers")
            passes = _matcher(allowed, ALWAYS_TOLD) if allowed else lambda name: name != "host"
            return replace(answer, headers=tuple(line for line in answer.headers if passes(line[0].lower())))
        replaces = _matcher(rules.get("allowed_upstream_headers"), ())
        set_by_it = [(name.lower(), value) for name, value in answer.headers if replaces(name.lower())]
        return replace(
            request.without(*dict(set_by_it)), headers=(*request.without(*dict(set_by_it)).headers, *set_by_it)
        )

    def sent_on(self, request: Request) -> Request:
        return request


def _matcher(listed: Mapping[str, Any] | None, always: Iterable[str]) -> Matches:
    """True for a name that one of the `patterns` has, or that is in `always`."""
    patterns = (listed or {}).get("patterns", [])
    exact = {one["exact"] for one in patterns if "exact" in one} | set(always)
    prefixes = tuple(one["prefix"] for one in patterns if "prefix" in one)
    return lambda name: name in exact or (bool(prefixes) and name.startswith(prefixes))
