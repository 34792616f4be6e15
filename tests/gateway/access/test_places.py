"""A path passes if all readings of it lead to the same place. The tests compare this with a slow second definition."""

from __future__ import annotations

import time
import unicodedata
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bff.browser.path_readings import MOST_READINGS
from bff.errors import BadRequest
from bff.settings.tables import RouteSettings
from gateway.access.paths import canonical_path
from gateway.access.places import Places
from gateway.streamlit.paths import treatment

HOST = "door.example"
ROUTES = [
    RouteSettings(id="all", path="/", kind="page", framework="streamlit"),
    RouteSettings(id="admin", path="/admin", kind="page"),
    RouteSettings(id="deep", path="/files/secret"),
    RouteSettings(id="slashes", path="/slashes", encoded_slashes=True),
]
PLACES = Places(ROUTES, auth_path="/auth", treatment=treatment)


def refusal(raw: bytes, places: Places = PLACES) -> str:
    """Why the front door refuses `raw`, "" if it passes."""
    try:
        places.check(HOST, canonical_path(raw), raw_path=raw)
    except BadRequest as error:
        return f"{error.code}: {error.detail}".removeprefix("ambiguous_path: ")
    return ""


NAMES = [
    "résumé (1) #2 & 50%.txt",
    "a#b.txt",
    "what?.txt",
    "a;b.txt",
    "報告（最終）.pdf",
    "报告：终稿＆附件.pdf",
    "รายงาน.txt",
    "تقرير نهائي.pdf",
    "👩‍🔬🎉.png",
    "50%25",
    "100%",
    "ends with a space ",
    "ends with a dot.",
    "％４１.txt",
    "a／b.txt",
    "%2e.txt",
    "a&b+c=d,e@f!.txt",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("folder", ["/", "/files/", "/admin/"])
def test_a_file_with_any_name_is_reachable(folder: str, name: str) -> None:
    assert refusal(folder.encode() + quote(name, safe="").replace("%2F", "").encode()) == ""


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"/admin%3f/x", "one of its readings leads elsewhere"),
        (b"/admin%23x", "one of its readings leads elsewhere"),
        (b"/admin%253fx", "one of its readings leads elsewhere"),
        (b"/admin;x", "one of its readings leads elsewhere"),
        (b"/admin%20/x", "one of its readings leads elsewhere"),
        (b"/admin./x", "one of its readings leads elsewhere"),
        (b"/files//secret/x", "one of its readings leads elsewhere"),
        (b"/files/secre%2574/x", "one of its readings leads elsewhere"),
        (b"/Admin", "without regard to case it leads elsewhere"),
        (b"/files/SECRET", "without regard to case it leads elsewhere"),
        (b"/AUTH/login", "without regard to case it leads elsewhere"),
        (b"/OAuth2/start", "without regard to case it leads elsewhere"),
        (b"/%61uth%253b/x", "one of its readings leads elsewhere"),
        (b"/_stcore/Metrics", "without regard to case it leads elsewhere"),
        (b"/_stcore/metrics%3b", "one of its readings leads elsewhere"),
        (b"/_stcore//metrics", "one of its readings leads elsewhere"),
        (b"/app/_stcore/upload_file/abc%3bx/1", "one of its readings leads elsewhere"),
        (b"/oauth2callback%3f", "one of its readings leads elsewhere"),
        (b"/%EF%BD%81dmin", "one of its readings leads elsewhere"),
        (b"/admin%252f..", "a dot segment"),
        (b"/x/%25zz/%252e%252e/admin", "a dot segment"),
        (b"/x/%25ff/%252e%252e/admin", "a dot segment"),
        (b"/x/%2e%20/admin", "a dot segment"),
        (b"/x/%EF%BC%8E%EF%BC%8E/admin", "a dot segment"),
        (b"/x/..%3b/admin", "a dot segment"),
        (b"/x%2500", "a control character"),
        (b"/x%252f%250d", "a control character"),
        (b"/;/evil.example", "two slashes at its start, as before a host name"),
        (b"/%253b/evil.example", "two slashes at its start, as before a host name"),
        (b"/files/a%2Fb", "an encoded slash, and the route does not say encoded_slashes = true"),
        (b"/files/a%5cb", "an encoded slash, and the route does not say encoded_slashes = true"),
        (b"/auth/a%2Fb", "an encoded slash, and the route does not say encoded_slashes = true"),
        (b"/slashes%2fb", "one of its readings leads elsewhere"),
        (b"/slashes/a%2f..%2fb", "a dot segment"),
        (b"/slashes/a%5c..%5cb", "a dot segment"),
        (b"/%zz", "a broken percent-escape"),
        (b"/%ff", "not UTF-8"),
        ("/é".encode(), "a character that must be percent-encoded"),
        (b"/a b", "a character that must be percent-encoded"),
    ],
)
def test_a_path_that_another_parser_reads_as_another_route_is_refused_with_the_reason(raw: bytes, why: str) -> None:
    assert refusal(raw) == why


@pytest.mark.parametrize("raw", [b"/slashes/a%2Fb", b"/slashes/a%5Cb", b"/slashes/group%2Fproject/x"])
def test_an_encoded_slash_is_accepted_where_the_route_allows_it(raw: bytes) -> None:
    assert refusal(raw) == ""


def test_an_upload_address_in_upper_case_is_treated_as_an_upload() -> None:
    """The request goes on to the check of who owns the upload."""
    assert refusal(b"/_STCORE/UPLOAD_FILE/abc/1") == ""


def test_spellings_of_admin_are_accepted_where_admin_is_not_a_route() -> None:
    alone = Places([ROUTES[0]], auth_path="/auth", treatment=treatment)
    for raw in (b"/Admin", b"/admin%3f/x", b"/admin%20", b"/%EF%BD%81dmin"):
        assert refusal(raw, alone) == ""


def test_a_route_with_upper_case_is_reachable_only_in_its_exact_spelling() -> None:
    upper = Places([ROUTES[0], RouteSettings(id="reports", path="/Reports")], auth_path="/auth", treatment=treatment)
    assert refusal(b"/Reports/x", upper) == ""
    assert refusal(b"/reports/x", upper) == "without regard to case it leads elsewhere"


def test_a_route_with_a_name_in_any_script_is_reachable() -> None:
    named = Places([ROUTES[0], RouteSettings(id="cafe", path="/café menu")], auth_path="/auth", treatment=treatment)
    assert refusal(b"/caf%C3%A9%20menu/x", named) == ""
    assert refusal(b"/CAF%C3%89%20menu/x", named) == "without regard to case it leads elsewhere"


HOSTILE = [
    b"/" + b"%3b%23%3f%2523" * 500,
    b"/" + b"/%20;" * 1_600,
    b"/" + b"." * 8_000 + b"x",
    b"/" + b"%25" * 2_600 + b"41",
    b"/" + b"%EF%BC%9B%3f%2523" * 400,
    b"/" + b"a;%253b%25253b%2523%20%EF%BC%8F.%3f" * 200,
    b"/" + b" ".replace(b" ", b"%20") * 2_700 + b"x",
]


@pytest.mark.parametrize("raw", HOSTILE, ids=lambda raw: f"{raw[:24].decode()} {len(raw)} bytes")
def test_the_work_for_a_hostile_path_is_limited(raw: bytes) -> None:
    started = time.perf_counter()
    refusal(raw)
    assert time.perf_counter() - started < 0.25


def test_a_path_with_more_readings_than_the_limit_is_refused() -> None:
    raw = b"/a;b%253bc%25253bd//%20e%2520./%EF%BC%9Bf%2523%3fg%23h%25253fi%EF%BC%8Fj%2520%25EF%25BC%259B"
    assert MOST_READINGS == 256
    assert refusal(raw) == "too many readings"


# The slow definition: it uses no code of the front door and has no limits.


def slow_readings(raw: str) -> set[str]:
    found, fresh = set(), {(raw, 0)}
    while fresh:
        found |= fresh
        fresh = {after for before in fresh for after in slow_steps(*before)} - found
    return {path for path, decodings in found if decodings > 0 or "%" not in path}


def slow_steps(path: str, decodings: int) -> set[tuple[str, int]]:
    segments = path.split("/")
    same_depth = {
        unicodedata.normalize("NFKC", path),
        path.replace("\\", "/"),
        "/".join(["", *[one for one in segments[1:-1] if one], segments[-1]]),
        "/".join(one.partition(";")[0] for one in segments),
        "/".join(one.strip().rstrip(" .").strip() for one in segments),
    }
    if decodings or "%" not in path:
        same_depth |= {path.partition("?")[0], path.partition("#")[0]}
    deeper = set()
    if decodings < 3 and "%" in path:
        deeper = {slow_decode(path), slow_decode(path, ["%2F", "%2f", "%5C", "%5c"])}
    return {(one, decodings) for one in same_depth} | {(one, decodings + 1) for one in deeper}


def slow_decode(path: str, kept: list[str] | None = None) -> str:
    for number, escape in enumerate(kept or []):
        path = path.replace(escape, chr(0xE000 + number))
    path = unquote_to_bytes(path.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
    for number, escape in enumerate(kept or []):
        path = path.replace(chr(0xE000 + number), escape)
    return path


def slow_place(path: str) -> str:
    for name in ("/auth", "/oauth2", "/healthz", "/admin", "/files/secret", "/slashes"):
        if path == name or path.startswith(name + "/"):
            return name
    return "/"


def slow_verdict(raw: bytes) -> bool:
    """True if the path passes."""
    found = slow_readings(raw.decode("utf-8", "surrogateescape"))
    for reading in found:
        if reading.startswith(("//", "/\\")) or any(unicodedata.category(one) in ("Cc", "Zl", "Zp") for one in reading):
            return False
        if any(set(one.strip()) == {"."} for one in reading.split("/")):
            return False
    exact = slow_place(unquote_to_bytes(raw).decode("utf-8"))
    has_slash = any(escape in raw.lower() for escape in (b"%2f", b"%5c"))
    if has_slash and exact != "/slashes":
        return False
    return {slow_place(reading.upper().lower()) for reading in found} == {exact}


PIECES = st.sampled_from(
    [
        *[
            "/",
            "a",
            "admin",
            "ADMIN",
            "files",
            "secret",
            "slashes",
            "auth",
            ";",
            "%3b",
            "%23",
            "%3f",
            "%25",
            "%252e",
            "%2e",
            ".",
            "..",
            "%20",
            "%2f",
            "%5c",
            "%c3%a9",
        ],
        *[
            "%ef%bc%8f",
            "%ef%bd%81",
            "%ef%bc%9b",
            "%ef%bc%9f",
            "#",
            "%zz",
            "%25zz",
            "%2525",
            "x",
            "41",
            "61",
            "//",
            "%00",
            "%2500",
            "healthz",
            "%ef%bc%8f",
        ],
    ]
)
TAILS = st.lists(PIECES, max_size=7).map(lambda pieces: ("/" + "".join(pieces)).encode())


@settings(max_examples=600, deadline=None)
@given(TAILS)
@example(b"/%2561dmin")
@example(b"/slashes/a%2fb")
@example(b"/%EF%BC%9B/admin")
def test_the_fast_check_decides_like_the_slow_definition(raw: bytes) -> None:
    try:
        canonical = canonical_path(raw)
    except BadRequest as error:
        if error.detail in ("a dot segment", "a control character", "two slashes at its start, as before a host name"):
            assert not slow_verdict(raw)
        return
    if "/_stcore" not in canonical and (why := refusal(raw)) != "too many readings":
        assert (why == "") == slow_verdict(raw), why
