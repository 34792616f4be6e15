"""FA-3: forward-auth decides about the path that the upstream will read, whatever way the path is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes import FakeProvider, RecordingUpstream
from tests.payloads.paths import AMBIGUOUS
from tests.security.asking import ASKING, MODES, XHR, Asker
from tests.security.house import House, open_house

ROUTES: list[dict[str, Any]] = [
    {"id": "all", "path": "/", "kind": "page"},
    {"id": "admin", "path": "/admin", "kind": "page", "require": {"roles_any": ["chief"]}},
    {"id": "public", "path": "/public", "kind": "page", "auth": "public"},
]
NOT_SENT = frozenset(b" \t\r\n\0")
"""Bytes that end a request line or a header line: no server reads a path with them."""
SENDABLE = [raw for raw in AMBIGUOUS if raw.startswith(b"/") and not NOT_SENT.intersection(raw)]


@pytest.fixture(scope="module")
def house(shared_provider: FakeProvider, shared_upstream: RecordingUpstream) -> Iterator[House]:
    with open_house(shared_provider, shared_upstream, routes=ROUTES, **ASKING) as opened:
        yield opened


@pytest.fixture(scope="module")
def alice(house: House) -> str:
    return house.session_cookie(house.sign_in())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("raw", SENDABLE)
def test_fa_3_a_path_with_several_readings_never_passes(house: House, alice: str, mode: str, raw: bytes) -> None:
    asker = Asker(house.door.verify_port, house.host, mode, alice)
    assert asker.ask(raw.decode("latin-1")).status in (400, 403)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/admin", 403),
        ("/%61dmin", 403),
        ("/admin/", 403),
        ("/admin?x=/public", 403),
        ("/public?x=/admin", 200),
        ("/public//admin", 200),
        ("/publicadmin", 200),
        ("/files/100%25.txt", 200),
        ("/%E5%A0%B1%E5%91%8A%EF%BC%88%EF%BC%89.pdf", 200),
    ],
)
def test_fa_3_the_route_is_that_of_the_canonical_path(
    house: House, alice: str, mode: str, target: str, status: int
) -> None:
    assert Asker(house.door.verify_port, house.host, mode, alice).ask(target).status == status


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("target", ["/%70ublic", "/publi%63/x", "/%70ublic/%61"])
def test_fa_3_a_needless_escape_passes_only_where_the_proxy_decodes_it(house: House, mode: str, target: str) -> None:
    nobody = Asker(house.door.verify_port, house.host, mode)
    assert nobody.ask(target).status == (403 if mode in ("envoy", "haproxy") else 200)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("target", ["/public/%61", "/public/a%2Db", "/public/%E5%A0%B1", "/%E5%A0%B1/%7Ex"])
def test_fa_3_a_needless_escape_below_a_route_passes(house: House, alice: str, mode: str, target: str) -> None:
    assert Asker(house.door.verify_port, house.host, mode, alice).ask(target).status == 200


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("query", ["a#b", "a\xe9", "a\tb"], ids=["a fragment", "not ASCII", "a tab"])
def test_fa_3_a_query_that_no_query_can_hold_is_refused(house: House, alice: str, mode: str, query: str) -> None:
    answer = Asker(house.door.verify_port, house.host, mode, alice).ask("/public?" + query)
    assert answer.status in (400, 403)


@pytest.mark.parametrize("mode", MODES)
def test_fa_3_a_rule_that_lets_in_counts_for_its_path_alone(house: House, mode: str) -> None:
    nobody = Asker(house.door.verify_port, house.host, mode)
    for target in ("/x?/public", "/x?p=/public/", "/x%3f/public", "/publicity", "/x/public"):
        assert nobody.ask(target, headers=XHR).status in (401, 403), target
    assert nobody.ask("/public/x", headers=XHR).status == 200


@pytest.mark.parametrize("mode", MODES)
def test_fa_3_an_address_over_the_limit_never_passes(house: House, alice: str, mode: str) -> None:
    asker = Asker(house.door.verify_port, house.host, mode, alice)
    assert asker.ask("/public/" + "a" * 8_100).status == 200
    assert asker.ask("/public/" + "a" * 8_300).status == 403
