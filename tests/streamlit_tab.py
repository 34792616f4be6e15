"""A tab at a real Streamlit page behind a front door: its WebSocket, and the uploads that its script would make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tests.fakes import CookieClient

UPLOADER = """
import streamlit as st
file = st.file_uploader("file")
st.text(f"holds {file.getvalue().decode() if file else None}")
st.download_button("download", b"bytes of a report", file_name="report.csv")
"""
UNKNOWN_UPLOAD = "/_stcore/upload_file/0b6ff2f5-8ba9-4a3c-a9a1-0d21c1b2a1aa/45c1ff0e-58d6-4a67-a9d2-6c4f8b5d9b11"
"""Where a file would go for a session that no page has."""
XSRF_COOKIE = "_streamlit_xsrf"
SECONDS = 20


class StreamlitTab:
    """`page` is the page's address without a trailing slash.

    `port` is where to connect, even if the address names another.
    """

    def __init__(self, browser: CookieClient, page: str, connection: ClientConnection, *, port: int) -> None:
        self.browser = browser
        self.page = page
        self.port = port
        self.socket = connection
        self.session_id = ""
        self.heard: list[bytes | str] = []
        """Messages that came before the end."""
        self.media = ""
        """The last address of a file that the page offered."""

    def run(self) -> str:
        """Run the script; the session id that the app announced."""
        message = BackMsg()
        message.rerun_script.query_string = ""
        message.rerun_script.context_info.url = self.page
        self.socket.send(message.SerializeToString())
        while (told := self.receive()).WhichOneof("type") != "script_finished":
            if told.WhichOneof("type") == "new_session":
                self.session_id = told.new_session.initialize.session_id
            if told.delta.new_element.download_button.url:
                self.media = told.delta.new_element.download_button.url
        return self.session_id

    def ask_for_address(self, *, request_id: str = "r" * 36) -> str:
        """Path of an upload, as the app hands it out."""
        message = BackMsg()
        message.file_urls_request.request_id = request_id
        message.file_urls_request.file_names.append("a.txt")
        message.file_urls_request.session_id = self.session_id
        self.socket.send(message.SerializeToString())
        while (told := self.receive()).WhichOneof("type") != "file_urls_response":
            pass
        return str(told.file_urls_response.file_urls[0].upload_url)

    def receive(self) -> ForwardMsg:
        raw = self.socket.recv(timeout=SECONDS)
        assert isinstance(raw, bytes)
        message: ForwardMsg = ForwardMsg.FromString(raw)
        return message

    def close_code(self) -> int:
        """What the front door ends the socket with."""
        try:
            while True:
                self.heard.append(self.socket.recv(timeout=SECONDS))
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


def upload(browser: CookieClient, page: str, address: str, *, method: str = "PUT", port: int = 0) -> httpx.Response:
    """Send to `address` (`/_stcore/upload_file/…`) what the page's script would send, on a separate connection."""
    headers = {"X-Xsrftoken": ready(browser, page, port=port), "Cookie": _cookies(browser)} | _host(page)
    headers |= {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    files = {"file": ("a.txt", b"words of alice")} if method == "PUT" else None
    return httpx.request(method, _at(page, port) + address, headers=headers, files=files, timeout=SECONDS)


def ready(browser: CookieClient, page: str, *, port: int = 0) -> str:
    """The XSRF cookie, which the health answer sets before every WebSocket of a page's script."""
    if XSRF_COOKIE not in {cookie.name for cookie in browser.cookies}:
        browser.fetch(_at(page, port) + "/_stcore/health", headers=_host(page))
    return next((cookie.value for cookie in browser.cookies if cookie.name == XSRF_COOKIE), "none")


@contextmanager
def tab_at(browser: CookieClient, page: str, *, port: int = 0, resume: str = "") -> Iterator[StreamlitTab]:
    """Open the page's socket in `browser`; `resume` is the Streamlit session that the tab claims to have had."""
    address = urlsplit(page)
    port = port or address.port or 80
    entries = ["streamlit", ready(browser, page, port=port), *([resume] if resume else [])]
    with connect(
        f"ws://{address.netloc}{address.path}/_stcore/stream",
        origin=Origin(f"http://{address.netloc}"),
        additional_headers={"Cookie": _cookies(browser)},
        subprotocols=[Subprotocol(entry) for entry in entries],
        open_timeout=SECONDS,
        proxy=None,
        max_size=None,
        address=("127.0.0.1", port),
    ) as connection:
        yield StreamlitTab(browser, page, connection, port=port)


def _cookies(browser: CookieClient) -> str:
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies)


def _at(page: str, port: int) -> str:
    address = urlsplit(page)
    return f"http://localhost:{port}{address.path}" if port else page


def _host(page: str) -> dict[str, str]:
    return {"Host": urlsplit(page).netloc}
