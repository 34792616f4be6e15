"""What a browser or a program says about the source of a request that does not come from the origin itself."""

from __future__ import annotations

FOREIGN_SITES = ("cross-site", "same-site", "none", "bogus", "Same-Origin")
"""Values of `Sec-Fetch-Site` that let no unsafe request pass."""


def foreign_origins(own: str) -> dict[str, str]:
    """Values of `Origin` that are not `own` (`scheme://host`, maybe with a port), by what is wrong with them."""
    scheme, _, host = own.partition("://")
    return {
        "null": "null",
        "another": "https://evil.example",
        "sub-domain of another": f"{own}.evil.example",
        "longer name": f"{scheme}://evil{host}",
        "other scheme": f"{'http' if scheme == 'https' else 'https'}://{host}",
        "other port": f"{own}0" if ":" in host else f"{own}:8443",
        "slash behind it": f"{own}/",
        "path": f"{own}/x",
        "user before it": f"{scheme}://user@{host}",
        "list": f"{own}, https://evil.example",
        "space inside": f"{own} https://evil.example",
    }


FAULTS = tuple(foreign_origins("https://apps.example.com"))
"""The names of all of them, for tests that learn the values only when they run."""
