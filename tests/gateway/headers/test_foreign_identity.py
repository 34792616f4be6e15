"""Headers of other proxies are removed in every spelling, unless a route names one in full. Similar names pass."""

from __future__ import annotations

from typing import Any

import pytest

from bff.settings.loading import parse_settings
from gateway.headers.foreign_identity import FOREIGN
from gateway.headers.request import RequestHygiene
from gateway.headers.warnings import find_header_warnings
from tests.bff.settings.test_rules import raw
from tests.payloads.requests import IDENTITY_HEADERS, spellings
from tests.repository import ROOT

ENTRIES = [name for _, names in FOREIGN for name in names]
OF_APPLICATIONS = {
    "X-User-Agent",
    "X-Auth-Token",
    "X-Auth-Key",
    "X-Token",
    "X-CSRF-Token",
    "X-XSRF-Token",
    "X-Requested-With",
    "X-Api-Key",
    "X-Api-Version",
    "X-Tenant-ID",
    "X-Correlation-Id",
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "X-Amzn-Trace-Id",
    "X-Goog-Api-Key",
    "X-Goog-FieldMask",
    "X-Goog-Upload-Command",
    "X-MS-Blob-Type",
    "X-MS-Date",
    "X-Grafana-Org-Id",
    "X-Gitlab-Token",
    "X-Hub-Signature-256",
    "X-Client-Version",
    "X-Client-Info",
    "X-Envoy-Expected-Rq-Timeout-Ms",
    "X-Credentials-Mode",
    "X-Consume",
    "CF-Ray",
    "Impersonation-Level",
    "Client-Version",
    "Traceparent",
}
OWN = ["x-auth-request-user", "x-forwarded-user", "x-forwarded-for", "remote-user", "x-vestibule-session", "x-real-ip"]


def passing(name: str, hygiene: RequestHygiene | None = None) -> bool:
    return bool((hygiene or RequestHygiene()).clean([(name.encode(), b"mallory")]))


def example_of(entry: str) -> str:
    return entry.replace("*", "-anything" if not entry.endswith("-*") else "anything")


@pytest.mark.parametrize("name", IDENTITY_HEADERS + [example_of(entry) for entry in ENTRIES])
@pytest.mark.parametrize("forward", ["all", ("*",), ("x-*", "[a-z]*", "?*")], ids=["all", "any", "globs"])
def test_an_identity_header_of_another_proxy_is_removed_in_every_spelling(name: str, forward: Any) -> None:
    hygiene = RequestHygiene(forward_headers=forward)
    assert [spelling for spelling in spellings(name) if passing(spelling, hygiene)] == []


@pytest.mark.parametrize("name", sorted(OF_APPLICATIONS))
def test_a_header_that_applications_use_for_themselves_is_passed_on(name: str) -> None:
    assert passing(name)


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_allowed_header_is_passed_on_only_in_its_exact_spelling(entry: str) -> None:
    name = example_of(entry)
    hygiene = RequestHygiene(forward_headers=("*", name.upper()))
    assert [spelling for spelling in spellings(name) if passing(spelling, hygiene)] == [
        spelling for spelling in spellings(name) if "_" not in spelling and "." not in spelling
    ]
    assert not passing(f"{name}-else", RequestHygiene(forward_headers=(name,))) or "*" not in entry
    assert hygiene.removed_identity([(name.encode(), b"x")]) == ""


@pytest.mark.parametrize("name", OWN)
def test_a_header_that_the_front_door_sets_is_never_passed_on(name: str) -> None:
    assert not passing(name, RequestHygiene(forward_headers=(name, "*")))


def test_a_claim_header_of_any_route_is_never_passed_on() -> None:
    hygiene = RequestHygiene(owned=frozenset({b"x-user-id"}), forward_headers=("X-User-Id",))
    assert not passing("X-User-Id", hygiene)


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("X-User-Id", "x-user-id"),
        ("X_CONSUMER_USERNAME", "x-consumer-*"),
        ("Remote.User", "remote-*"),
        ("x-forwarded-user", "x-forwarded-user"),
        ("X-Forwarded-For", ""),
        ("Accept", ""),
    ],
)
def test_the_log_names_a_removed_header_by_its_list_entry_and_not_by_the_received_text(name: str, entry: str) -> None:
    assert RequestHygiene().removed_identity([(b"accept", b"*/*"), (name.encode(), b"x")]) == entry


def warnings(*forward: str, **over: Any) -> list[str]:
    route = {
        "id": "api",
        "path": "/api/",
        "upstream": "http://127.0.0.1:9001",
        "forward_headers": list(forward),
        **over,
    }
    settings = parse_settings(raw(routes=[route]))
    found = list(find_header_warnings(settings, source="vestibule.toml"))
    assert all((problem.file, problem.route) == ("vestibule.toml", "api") for problem in found)
    return [f"{problem.key} {problem.message}" for problem in found]


def test_a_route_that_passes_on_a_foreign_identity_gives_a_warning() -> None:
    [warning] = warnings("accept", "X-Scope-OrgID", "x-consumer-*")
    assert warning.startswith("routes[0].forward_headers lets clients send x-scope-orgid")


@pytest.mark.parametrize("name", [*OWN, "connection", "content-length", "authorization", "x_user"])
def test_a_route_that_allows_a_header_that_is_never_passed_on_gives_a_warning(name: str) -> None:
    assert [f"names {name}, which" in warning for warning in warnings(name)] == [True]


def test_a_route_that_allows_a_harmless_header_gives_no_warning() -> None:
    assert warnings("accept", "cookie", "host", "x-app-*", "x-auth-token") == []
    assert warnings("authorization", auth="public") == []
    assert list(find_header_warnings(parse_settings(raw()), source="")) == []


def test_the_documentation_lists_every_removed_header() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8").lower()
    assert [entry for entry in ENTRIES if f"`{entry}`" not in text] == []
