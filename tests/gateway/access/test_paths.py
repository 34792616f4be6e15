"""The canonical path: which paths are refused, and that routing and upstream read the same path."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import BadRequest
from bff.settings.tables import RouteSettings
from gateway.access.paths import AmbiguousPath, canonical_path, forward_target
from gateway.access.places import Places
from gateway.streamlit.paths import treatment
from tests.payloads.paths import AMBIGUOUS

ROUTES = [
    RouteSettings(id="all", path="/", kind="page"),
    RouteSettings(id="admin", path="/admin", kind="page"),
    RouteSettings(id="public", path="/public", auth="public"),
]
PLACES = Places(ROUTES, auth_path="/auth", treatment=treatment)


def accepted(raw: bytes) -> str:
    """The canonical path that the front door of `ROUTES` lets through."""
    path = canonical_path(raw)
    PLACES.check("door.example", path, raw_path=raw)
    return path


@pytest.mark.parametrize("raw", AMBIGUOUS)
def test_an_ambiguous_path_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        accepted(raw)
    assert caught.value.code == "ambiguous_path"
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", "/"),
        (b"/Report", "/Report"),
        (b"/public//admin", "/public//admin"),
        (b"/publicadmin", "/publicadmin"),
        (b"/_stcore/healthX", "/_stcore/healthX"),
        (b"/%61dmin", "/admin"),
        (b"/api/", "/api/"),
        (b"/files/my%20report.csv", "/files/my report.csv"),
        (b"/caf%C3%A9/%E6%97%A5%E6%9C%AC", "/café/日本"),
        (b"/users/ada@example.com", "/users/ada@example.com"),
        (b"/users/ada%40example.com", "/users/ada@example.com"),
        (b"/time/12:30", "/time/12:30"),
        (b"/a,b=c+d!$&'()*~_-", "/a,b=c+d!$&'()*~_-"),
        (b"/.well-known/openid-configuration", "/.well-known/openid-configuration"),
        (b"/.hidden/..double", "/.hidden/..double"),
        (b"/a.b/c.", "/a.b/c."),
        (b"/100%25", "/100%"),
        (b"/%25zz", "/%zz"),
        (b"/list[0]|{x}^`", "/list[0]|{x}^`"),
        (b"/_stcore/upload_file/5b0c-11/a1", "/_stcore/upload_file/5b0c-11/a1"),
        (b"/emoji/%F0%9F%91%A9%E2%80%8D%F0%9F%94%AC", "/emoji/👩‍🔬"),
    ],
)
def test_an_unambiguous_path_is_decoded_once(raw: bytes, path: str) -> None:
    assert accepted(raw) == path


def naive_upstream(target: bytes) -> str:
    """Read a request-target as an upstream does that splits at `?`, decodes and trusts."""
    return unquote_to_bytes(target.partition(b"?")[0]).decode("utf-8")


raw_bytes = st.binary(max_size=40).map(lambda raw: b"/" + raw)
ENCODED = rb"%2e %2E %2f %5c %3b %25 %252e %00 %23 %61 %c3%a9 %ef%bc%8f %20 %zz %c0%af".split()
PLAIN = [b"..", b".", b"\\", b"/", b"//", b";", b"#", b"a", b"admin", b"?", b"~", b" ", b"\xff", b"\t"]
hostile_pieces = st.sampled_from([*ENCODED, *PLAIN])
hostile_paths = st.lists(hostile_pieces, max_size=12).map(lambda pieces: b"/" + b"".join(pieces))


@given(st.one_of(raw_bytes, hostile_paths), st.binary(max_size=20))
def test_the_authorised_path_is_what_a_naive_upstream_decodes(raw: bytes, query: bytes) -> None:
    try:
        path = canonical_path(raw)
        target = forward_target(raw, query)
    except BadRequest:
        return
    assert naive_upstream(target) == path
    assert target.startswith(b"/")
    assert re.fullmatch(rb"[!-~]+", target)


def is_plain_letter(character: str) -> bool:
    """True but for compatibility forms of ASCII: look-alikes of path syntax have their own cases above."""
    return character.isascii() or not any(each.isascii() for each in unicodedata.normalize("NFKC", character))


segments = st.text(st.characters(codec="utf-8", categories=("L", "N")).filter(is_plain_letter), min_size=1, max_size=12)


@given(st.lists(segments, min_size=1, max_size=4))
def test_ordinary_names_in_any_script_are_accepted(names: list[str]) -> None:
    path = "/" + "/".join(names)
    assert accepted(quote(path, safe="/").encode()) == path


def test_the_query_is_passed_on_unchanged() -> None:
    assert forward_target(b"/a%20b", b"x=%2e%2e&y=/public?z") == b"/a%20b?x=%2e%2e&y=/public?z"


@pytest.mark.parametrize("query", [b"a b", b"a\r\nX: 1", b"a#b", b"\xff", b"a\0"])
def test_a_query_that_a_request_line_cannot_hold_is_refused(query: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        forward_target(b"/a", query)
    assert caught.value.code == "ambiguous_query"


@pytest.mark.parametrize(
    ("raw", "prefix", "target"),
    [
        (b"/api/users", "/api/", b"/users"),
        (b"/api/users", "/api", b"/users"),
        (b"/api", "/api/", b"/"),
        (b"/api/", "/api/", b"/"),
        (b"/%61pi/us%65rs", "/api", b"/us%65rs"),
        (b"/one/two/three/four", "/one/two", b"/three/four"),
        (b"/x/y", "/", b"/x/y"),
        (b"/x/y", "", b"/x/y"),
        (b"/caf%C3%A9/menu/", "/café", b"/menu/"),
    ],
)
def test_a_prefix_is_removed_from_the_raw_path_by_whole_segments(raw: bytes, prefix: str, target: bytes) -> None:
    assert forward_target(raw, b"", strip_prefix=prefix) == target


def test_a_path_outside_the_prefix_is_not_changed() -> None:
    with pytest.raises(BadRequest):
        forward_target(b"/apiary/x", b"", strip_prefix="/api")


@pytest.mark.parametrize(
    ("raw", "reading"),
    [
        (b"/public/../admin", "/public/../admin"),
        (b"/public/%252e%252e/admin", "/public/../admin"),
        (b"/public;x/..;y/admin", "/public/../admin"),
        (b"/ADMIN/x", "/admin/x"),
        (b"//admin", "//admin"),
        (b"/x%00", "/x\x00"),
        (b"/x%zz", ""),
    ],
    ids=["dots", "dots encoded twice", "dots before parameters", "case", "two slashes", "NUL", "broken escape"],
)
def test_a_refusal_holds_the_reading_that_has_the_fault(raw: bytes, reading: str) -> None:
    with pytest.raises(AmbiguousPath) as caught:
        accepted(raw)
    assert caught.value.reading == reading
    assert caught.value.code == "ambiguous_path"


def test_a_refusal_shows_the_reading_neither_in_its_message_nor_in_its_detail() -> None:
    with pytest.raises(AmbiguousPath) as caught:
        accepted(b"/public/..;canary/admin")
    assert "canary" not in caught.value.message + caught.value.detail


def test_the_name_of_a_place_says_where_a_reading_leads() -> None:
    named = [PLACES.name("door.example", path) for path in ("/ADMIN/x", "/auth/login", "/Public", "/healthz")]
    assert named == [
        "the route admin",
        "the reserved address /auth",
        "the route public",
        "the reserved address /healthz",
    ]
