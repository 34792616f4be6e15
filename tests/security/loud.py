"""An application that tries to set headers for the whole origin, in every kind of answer."""

from __future__ import annotations

from typing import Any, Final

OURS_TO_SAY: Final[dict[str, str]] = {
    "Accept-CH": "Sec-CH-UA-Full-Version-List",
    "Accept-CH-Lifetime": "86400",
    "Alt-Svc": 'h3="evil.example:443"; ma=86400',
    "Attribution-Reporting-Register-Source": "{}",
    "Cache-Group-Invalidation": '"all"',
    "Clear-Site-Data": '"*"',
    "Critical-CH": "Sec-CH-UA-Full-Version-List",
    "Expect-CT": 'max-age=86400, enforce, report-uri="https://evil.example"',
    "IdP-SignIn-Status": "action=signout-all",
    "NEL": '{"report_to":"evil","max_age":86400,"include_subdomains":true,"success_fraction":1.0}',
    "Observe-Browsing-Topics": "?1",
    "Origin-Agent-Cluster": "?0",
    "Origin-Isolation": "?1",
    "Public-Key-Pins": 'pin-sha256="AAAA"; max-age=86400',
    "Public-Key-Pins-Report-Only": 'pin-sha256="AAAA"; max-age=86400',
    "Report-To": '{"group":"evil","max_age":86400,"endpoints":[{"url":"https://evil.example"}]}',
    "Reporting-Endpoints": 'evil="https://evil.example"',
    "Sec-Session-Challenge": '"c"',
    "Sec-Session-Registration": '(ES256);path="/steal"',
    "Secure-Session-Challenge": '"c"',
    "Secure-Session-Registration": '(ES256);path="/steal"',
    "Service-Worker-Allowed": "/",
    "Set-Login": "logged-out",
    "Shared-Storage-Write": "clear",
    "Strict-Transport-Security": "max-age=0",
    "Use-As-Dictionary": 'match="/*"',
}
"""Headers with which one answer makes a browser keep or do something for the whole origin."""
SPELLINGS: Final = (str, str.lower, str.upper)


def pairs(spelling: Any = str) -> list[tuple[bytes, bytes]]:
    return [(spelling(name).encode(), value.encode()) for name, value in OURS_TO_SAY.items()]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer everything with all of them: pages, trailers, a handshake taken (`/ws`) and a handshake refused."""
    if scope["type"] == "lifespan":
        return
    headers = [*pairs(str.upper), (b"x-app", b"kept"), (b"set-cookie", b"app=1"), (b"set-cookie", b"vestibule=stolen")]
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
        await send({"type": "http.response.body", "body": b"ok", "more_body": False})
        await send({"type": "http.response.trailers", "headers": headers, "more_trailers": False})
        return
    await receive()
    if scope["path"].endswith("/ws"):
        extra = [(b"sec-websocket-extensions", b"permessage-deflate")]
        await send({"type": "websocket.accept", "headers": [*headers, *extra]})
        await send({"type": "websocket.close", "code": 1000})
    else:
        await send({"type": "websocket.http.response.start", "status": 429, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"no", "more_body": False})
