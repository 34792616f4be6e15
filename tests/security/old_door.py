"""A front door with the names of oauth2-proxy, before an application that answers every address."""

from __future__ import annotations

from typing import Any

from tests.fakes import RecordingUpstream
from tests.front_door import page_route

OLD: dict[str, Any] = {"compat": {"oauth2_proxy": True}, "server": {"trusted_proxies": ["127.0.0.0/8"]}}
NAMES = ("auth", "start", "sign_in", "sign_out", "callback", "userinfo")
OTHER_SITES: dict[str, tuple[str, ...]] = {
    "fetch of a sibling host": ("Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors", "Origin: http://evil.localhost"),
    "fetch of another site": ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors", "Origin: https://evil.example"),
    "image of another site": ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"),
    "frame of another site": ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"),
    "script of a sibling host": ("Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"),
    "old browser": ("Origin: https://evil.example",),
    "sandboxed frame": ("Origin: null",),
}


def catch_all(upstream: RecordingUpstream, **over: Any) -> dict[str, Any]:
    """Streamlit answers every address, so it would answer a question of a proxy too."""
    return page_route(upstream, framework="streamlit", **over)
