"""What a request may hide: paths of somewhere else, spellings of a cookie and of headers that tell who somebody is.

Grow the lists whenever a new class turns up.
"""

from __future__ import annotations

PATHS: dict[str, list[bytes]] = {
    "P1": [b"/public/../admin", b"/public/../../admin", b"/public/x/../../admin"],
    "P2": [b"/public/%2e%2e/admin", b"/public/.%2e/admin", b"/public/%2E./admin"],
    "P3": [b"/public/%2e%2e%2fadmin", b"/public%2f..%2fadmin", b"/public/..%2Fadmin"],
    "P4": [b"/public/..%5cadmin", b"/public\\..\\admin", b"/public/%5c..%5cadmin"],
    "P5": [b"/public/%252e%252e/admin", b"/public/%25252e%25252e/admin", b"/public/%252e%252e%252fadmin"],
    "P6": [
        b"/public/..;/admin",
        b"/public;/../admin",
        b"/admin;x=/public",
        b"/public/..;x=1/admin",
        b"/public/.;/admin",
    ],
    "P7": [b"//admin", b"/%2fadmin", b"/public//../admin", b"///admin", b"/public//admin"],
    "P8": [b"/./admin", b"/admin/.", b"/admin%2f", b"/public/./../admin"],
    "P9": [b"/ADMIN", b"/Admin", b"/aDMIN/x"],
    "P10": [b"/admin%00", b"/admin%00/public", b"/public%00/../admin", b"/admin\x00"],
    "P11": [b"/admin%20", b"/admin%09", b"/admin%0a", b"/admin\x09", b"/%20admin"],
    "P12": [b"/admin#/public", b"/public#/../admin", b"/admin%23/public", b"/public#"],
    "P13": [b"/admin?x=/public", b"/admin%3f/public", b"/public%3f/../admin", b"/public/?/../admin"],
    "P14": [b"/public%0d%0aX:1", b"/public%0aX:1", b"/public\rX:1"],
    "P15": [
        b"/%c0%ae%c0%ae/admin",
        b"/public/%c0%ae%c0%ae/admin",
        "/public/\uff0e\uff0e/admin".encode(),
        b"/public/%ef%bc%8e%ef%bc%8e/admin",
        b"/%ef%bd%81dmin",
        "/\uff41dmin".encode(),
        b"/adm%C4%B1n",
        b"/public/%e2%80%a5/admin",
        b"/public%ef%bc%8f..%ef%bc%8fadmin",
    ],
    "P16": [b"/publicadmin", b"/apiary", b"/public.admin", b"/adminx"],
    "P17": [b"/%61dmin", b"/%61%64%6d%69%6e", b"/a%64min/x"],
    "P18": [b"/a%zz", b"/%", b"/public/%2", b"/public/%u002e%u002e/admin"],
    "P19": [b"/public/..%2f..%2fauth%2fverify", b"/public/..%2fauth%2fsession", b"/public/%2e%2e/auth/session"],
    "P20": [b"/favicon.ico/../admin", b"/public/_stcore/health/../stream", b"/public/../_stcore/health"],
}
"""Request targets by class: an anonymous client must get none of the protected ones."""

COOKIE_NAMES: list[bytes] = [
    b"\xa0{name}",
    b"\x85{name}",
    b"\x1f{name}",
    b"\t{name}",
    b"\xe2\x80\x80{name}",
    b"{name}\xa0",
    b"{name}\t",
    b"{name} ",
    b"{NAME}",
    b"{Name}",
    b"%76{rest}",
    b"={name}",
    b"${name}",
    b'"{name}"',
    b"{name}[]",
    b"{name}.x",
    b"x,{name}",
    b"x=1,{name}",
    b"x\x0b;{name}",
]
"""Spellings that some parser takes for the cookie `{name}`; ours must not."""

COOKIE_VALUES: list[bytes] = [b'"{value}"', b"{value} ", b"{value},x", b"{value}\\073", b"{value}%00", b"{value}\xa0"]
"""Values that some parser unquotes or trims into `{value}`."""

IDENTITY_HEADERS = [
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Roles",
    "X-Auth-Request-Id",
    "X-Auth-Request-Access-Token",
    "X-Auth-Request-Whatever",
    "Remote-User",
    "Remote-Groups",
    "X-Remote-User",
    "X-Streamlit-User",
    "X-Vestibule-Session",
    "X-Vestibule-Assertion",
    "X-WebAuth-User",
    "X-authentik-username",
    "X-Pomerium-Jwt-Assertion",
    "Impersonate-User",
    "Impersonate-Extra-Scopes",
    "X-Consumer-Username",
    "X-Credential-Identifier",
    "X-Anonymous-Consumer",
    "X-Authenticated-Userid",
    "X-MS-CLIENT-PRINCIPAL-NAME",
    "X-MS-TOKEN-AAD-ID-TOKEN",
    "X-SSL-Client-S-DN",
    "SSL-Client-Subject-DN",
    "Client-Cert",
    "X-Forwarded-Client-Cert",
    "X-Scope-OrgID",
    "X-Userinfo",
    "X-User-Id",
    "X-Token-Subject",
    "X-Amzn-Mtls-Clientcert-Subject",
]
"""Headers by which somebody, somewhere, believes that a request is a certain person's."""


def spellings(header: str) -> list[str]:
    """A header's name as upstreams of different make would still read it."""
    underscored, dotted = header.replace("-", "_"), header.replace("-", ".")
    mixed = header.replace("-", "_", 1)
    return [header, header.lower(), header.upper(), underscored, underscored.lower(), dotted, mixed]
