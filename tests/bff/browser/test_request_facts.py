"""Facts of a request: its origin comes from a Host this front door serves, or there is none."""

from __future__ import annotations

from typing import Any

import pytest

from bff.browser.csrf import FetchMetadata
from bff.browser.request_facts import SCOPE_KEY, RequestFacts, facts_of, new_request_id, wants_page
from bff.errors import Misdirected
from bff.settings.public_urls import PublicUrls

ORIGINS = {"apps.example.com": PublicUrls("https://apps.example.com"), "b.example": PublicUrls("https://b.example")}


def scope(*hosts: bytes, client: tuple[str, int] | None = ("192.0.2.1", 5)) -> dict[str, Any]:
    headers = [*((b"host", host) for host in hosts), (b"sec-fetch-site", b"none")]
    return {"type": "http", "headers": headers, "client": client}


def test_the_host_header_selects_one_of_the_configured_origins() -> None:
    facts = facts_of(scope(b"B.example"), ORIGINS)
    assert (facts.urls.base, facts.address, facts.fetch.site) == ("https://b.example", "192.0.2.1", "none")


@pytest.mark.parametrize(
    "hosts",
    [
        (),
        (b"evil.example",),
        (b"apps.example.com", b"apps.example.com"),
        (b"apps.example.com:8443",),
        (b"\xff",),
        (b"",),
    ],
)
def test_a_host_that_is_not_configured_is_misdirected(hosts: tuple[bytes, ...]) -> None:
    with pytest.raises(Misdirected):
        facts_of(scope(*hosts), ORIGINS)


def test_the_facts_of_a_request_are_worked_out_once() -> None:
    request = scope(b"b.example", client=None)
    facts = facts_of(request, ORIGINS)
    assert facts.address == ""
    assert facts_of(request, ORIGINS) is facts


def test_the_facts_that_the_gateway_worked_out_are_used() -> None:
    facts = RequestFacts(ORIGINS["b.example"], "203.0.113.9", "r-1", FetchMetadata())
    assert facts_of({SCOPE_KEY: facts, "headers": []}, ORIGINS) is facts


def test_request_ids_are_plain_text_and_never_repeat() -> None:
    ids = {new_request_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(name) == 24 and name.isalnum() for name in ids)


@pytest.mark.parametrize(
    ("headers", "page"),
    [
        pytest.param({"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, True, id="a navigation"),
        pytest.param({"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, False, id="a frame"),
        pytest.param({"sec-fetch-mode": "cors", "accept": "text/html"}, False, id="a script that accepts pages"),
        pytest.param({"accept": "text/html,*/*;q=0.8"}, True, id="an old browser"),
        pytest.param({"accept": "*/*"}, False, id="a program"),
        pytest.param({}, False, id="a program that says nothing"),
    ],
)
def test_a_page_is_sent_only_to_a_browser_that_shows_it_in_a_window(headers: dict[str, str], *, page: bool) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert wants_page(FetchMetadata.from_headers(raw), raw) is page
