"""Return targets that lead away, by class (A1 to A33), with their encodings. Grow the lists with every new class.

`gw.example` stands for the front door's own host where the pure functions are tested. In `REDIRECT_TARGETS`, for a
running front door, `{own}` is its origin and `{host}` its Host.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

OWN_ORIGIN = "https://gw.example"

OPEN_REDIRECTS: dict[str, tuple[str, ...]] = {
    "A1": ("//evil.com", "//evil.com/", "//evil.com/%2f.."),
    "A2": ("///evil.com",),
    "A3": ("////evil.com/%2f..", "/////evil.com"),
    "A4": ("/\\evil.com",),
    "A5": ("\\/\\/evil.com", "/\\/evil.com", "/\\\\evil.com", "\\evil.com"),
    "A6": ("\\\\evil.com",),
    "A7": ("/\t/evil.com", "\t//evil.com", "//\tevil.com", "/\t\\evil.com", "/\r/evil.com", "\x0b//evil.com"),
    "A8": ("/\n/evil.com", "\n//evil.com"),
    "A9": ("/\r\\evil.com", "/\r\n/evil.com"),
    "A10": (" //evil.com", "%20//evil.com", "\x00//evil.com", "\x1f//evil.com", "\xa0//evil.com", "\u3000//evil.com"),
    "A11": ("/%09/evil.com", "/%0a/evil.com", "/%0d/evil.com"),
    "A12": ("/%5cevil.com", "/%5Cevil.com", "/%255cevil.com", "/%5C/evil.com", "/%2fevil.com"),
    "A13": ("/%2f%2fevil.com", "/%2F/evil.com", "/%252f%252fevil.com", "/%25252f/evil.com"),
    "A14": (
        "/.//evil.com",
        "/./\\evil.com",
        "/x/..//evil.com",
        "/x/../../evil.com",
        "/..;/evil.com",
        "/x/../\\evil.com",
        "/x/%2e%2e//evil.com",
    ),
    "A15": ("https:evil.com", "http:evil.com"),
    "A16": ("http:///evil.com", "https:/evil.com", "HtTpS://evil.com", "https:\\\\evil.com"),
    "A17": ("https://gw.example@evil.com", "https://gw.example%40evil.com"),
    "A18": ("https://evil.com\\@gw.example",),
    "A19": ("https://evil.com#@gw.example", "https://evil.com?@gw.example"),
    "A20": ("https://gw.example:pw@evil.com:443",),
    "A21": ("https://gw.example.evil.com", "http://localhost.evil.com", "http://evillocalhost"),
    "A22": ("https://evilgw.example",),
    "A23": (
        "https://gw.example:8443",
        "https://gw.example:8443/x",
        "http://localhost:1",
        "http://localhost",
        "ftp://localhost/",
        "http://127.0.0.1",
    ),
    "A24": ("http://gw.example", "http://gw.example/x"),
    "A25": (
        "https://evil.com%E3%80%82gw.example",
        "https://evil\u3002com",
        "\uff0f\uff0fevil.com",
        "/\uff0fevil.com",
        "/%EF%BC%8Fevil.com",
        "/\uff3cevil.com",
        "/%EF%BC%BCevil.com",
    ),
    "A26": (
        "http://0x7f000001",
        "http://2130706433",
        "http://[::ffff:7f00:1]",
        "http://127.1",
        "https://[evil",
    ),
    "A27": (
        "javascript:alert(1)",
        "java\rscript:alert(1)",
        "java%0dscript:alert(1)",
        "JaVaScRiPt://%0aalert(1)",
        " javascript:alert(1)",
    ),
    "A28": ("data:text/html,x", "vbscript:x", "blob:x", "file:///etc/passwd", "about:blank"),
    "A29": ("//evil.com%00.gw.example", "//evil.com\x00.gw.example", "/%00/evil.com"),
    "A30": (
        "/ok%0d%0aLocation:%20//evil.com",
        "/ok\r\nLocation: //evil.com",
        "/ok%E5%98%8D%E5%98%8ALocation:%20//evil.com\u560d\u560a",
        "/ok%c0%8d%c0%8aLocation://evil.com",
    ),
    "A31": ("/;@evil.com", "/@evil.com", "/%2e%2e//evil.com", "/%2e%2e/%2e%2e/evil.com", "/%40evil.com"),
    "A33": (
        "",
        "x",
        "?x",
        "#x",
        "/" + "a" * 100_000,
        "/%",
        "/a%zz",
        "/a%2",
        "%",
        "/%ff%fe",
        "*",
        "@evil.com",
        ".evil.com",
        "/?" + "a" * 9_000,
        "?//evil.com",
        "#//evil.com",
        ".",
    ),
}
"""By the number of the list; A32 is about repeated parameters and lies with the login request."""

REPEATED_PARAMETERS = ("return_to=/a&return_to=//evil.com", "return_to=//evil.com&return_to=/a")
FOREIGN_SPELLINGS = ("return_to[]=//evil.com", "Return_To=//evil.com", "rd=//evil.com", "return%5Fto%5B%5D=//evil.com")

SAFE_TARGETS = (
    "/",
    "/report",
    "/report/",
    "/report?team=red",
    "/report?next=//evil.com",
    "/report?u=https://evil.com/\\x",
    "/a/b;v=1/c",
    "/caf%C3%A9",
    "/a%20b",
    "/a:b@c",
    "/x.y/..z/...",
)


def with_encodings(payload: str) -> Iterator[str]:
    """`payload` raw, and percent-encoded once and twice, whole and without touching slashes."""
    yield payload
    try:
        once = quote(payload, safe="")
        yield from (once, quote(once, safe=""), quote(payload, safe="/:?#@"), quote(quote(payload, safe="/"), safe="/"))
    except UnicodeEncodeError:
        return


def encoded(number: str) -> list[str]:
    """Every payload of that number in every encoding."""
    return [text for payload in OPEN_REDIRECTS[number] for text in with_encodings(payload)]


def encodings(payload: str) -> list[str]:
    """A payload as a query value that decodes to it, and to it encoded once and twice."""
    once = quote(payload, safe="")
    twice = quote(once, safe="")
    return [once, twice, quote(twice, safe="")]


OF_A_RUNNING_DOOR: dict[str, tuple[str, ...]] = {
    "A17": (
        "http://{host}@evil.com/",
        "http://evil.com\\@{host}/",
        "http://evil.com#{own}",
        "http://{host}:80@evil.com",
    ),
    "A21": ("{own}.evil.com", "{own}.evil.com/x"),
    "A23": ("{own}0/x",),
    "A25": ("/\u2044evil.com", "/\u2215evil.com"),
    "own origin and more": ("{own}\\evil.com", "{own}/\\evil.com", "{own}//evil.com", "{own}@evil.com", "{own}:80"),
}
"""Targets made of the running front door's own address, and (A25) local paths that only look as if they led away."""

REDIRECT_TARGETS: dict[str, list[str]] = {
    name: [text[:20_000].replace("gw.example", "{host}") for text in OPEN_REDIRECTS.get(name, ())]
    + list(OF_A_RUNNING_DOOR.get(name, ()))
    for name in {**OPEN_REDIRECTS, **OF_A_RUNNING_DOOR}
}
"""`return_to` values by class; where one lands must be on the front door."""

NO_PLACES_TO_RETURN_TO = [
    "/auth/logout",
    "/auth/login?return_to=/x",
    "/auth/callback/corp?code=x",
    "/auth",
    "/auth/",
    "/%61uth/logout",
    "/aut%68/login",
    "/api/x",
    "/api",
    "/%61pi/x",
    "/models/x",
    "/_stcore/stream",
    "/_stcore/upload_file/a/b",
    "/app/_stcore/health",
    "/%5fstcore/stream",
]
"""Local paths that are not pages. They could cause loops and CSRF."""
