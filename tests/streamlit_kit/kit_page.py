"""A page with the kit in a real `streamlit run`, and the handshake that its front door sends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.streamlit_kit.front_door import CLIENT, HANDLE, KIT_SECRET, KitFrontDoor
from tests.streamlit_kit.visitor import streamlit_running

Header = tuple[str, str]


@contextmanager
def kit_page_running(text: str, folder: Path, door: KitFrontDoor) -> Iterator[int]:
    """Run the page `text` from `folder`, with a kit that calls `door`. Yield its port."""
    script, port = folder / "page.py", free_port()
    script.write_text(text)
    door.reset()
    environment = {
        "VESTIBULE_KIT__URL": door.url,
        "VESTIBULE_KIT__PUBLIC_URL": f"http://localhost:{port}",
        "VESTIBULE_KIT__CLIENT": CLIENT,
        "VESTIBULE_KIT__SECRET": KIT_SECRET,
        "VESTIBULE_KIT__ROUTES": '{"api": "/api/"}',
    }
    with streamlit_running(script, port, environment):
        yield port


def handshake(door: KitFrontDoor, port: int, *, handle: str = HANDLE, **changes: Any) -> tuple[Header, Header]:
    """The headers with which a visit of the page on `port` begins; `changes` are claims of the assertion."""
    assertion = door.mint(iss=f"http://localhost:{port}", **changes)
    return ("X-Vestibule-Assertion", assertion), ("X-Vestibule-Session", handle)
