"""Two people upload files to a managed Streamlit app, through two workers and a real Redis, also in Chromium."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, FilePayload, Page, Request, expect

from tests.bff.stores.redis_servers import standalone
from tests.e2e.demo_process import CommandProcess
from tests.fakes import CookieClient, FakeProvider
from tests.front_door import KEY
from tests.gateway.running_processes import command_line_of
from tests.ports import free_port
from tests.streamlit_tab import UPLOADER, ready, tab_at, upload

pytestmark = [pytest.mark.component("chromium", "redis-server"), pytest.mark.timeout(150)]

CONFIGURATION = """
[server]
public_url = "http://localhost:{port}"
bind = "127.0.0.1:{port}"
management_bind = "127.0.0.1:{management}"
environment = "development"
workers = 2

[secrets]
keys = ["{key}"]

[store]
url = "{store}"

[log]
level = "debug"
access = true

[providers.corp]
issuer = "{issuer}"
client_id = "{client_id}"
client_secret = "{client_secret}"
client_auth = "{client_auth}"

[[routes]]
id = "pages"
path = "/team/pages"
upstream = "streamlit:app.py"
streamlit = {{ cwd = "{app}", args = ["--logger.level=debug"] }}
"""


@dataclass(frozen=True)
class Door:
    """`vestibule run` with two workers; `page` is the app's address."""

    page: str
    process: CommandProcess
    provider: FakeProvider

    def sign_in(self, person: str) -> CookieClient:
        browser = CookieClient()
        self.provider.options.auto_login = person
        browser.walk(browser.get(self.page + "/"))
        return browser

    @property
    def workers(self) -> list[int]:
        """Pids of the processes that serve."""
        return sorted(pid for pid in self.process.descendants() if "gateway.processes.worker" in command_line_of(pid))


@pytest.fixture(scope="module")
def door(component: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    app, settings, port = tmp_path_factory.mktemp("app"), tmp_path_factory.mktemp("door"), free_port()
    (app / "app.py").write_text(UPLOADER)
    with standalone(component("redis-server"), tmp_path_factory.mktemp("redis")) as redis, FakeProvider() as provider:
        file = settings / "vestibule.toml"
        file.write_text(
            CONFIGURATION.format(
                port=port,
                management=free_port(),
                key=KEY,
                store=redis.url,
                issuer=provider.issuer,
                client_id=provider.client.client_id,
                client_secret=provider.client.client_secret,
                client_auth=provider.client.auth_method,
                app=app,
            )
        )
        file.chmod(0o600)
        process = CommandProcess(["run", "--config", str(file)])
        try:
            process.wait_for('"ready"')
            process.wait_for('"process": "pages"')
            yield Door(f"http://localhost:{port}/team/pages", process, provider)
        finally:
            process.stop()


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop the worker, so that the other one serves."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_each_worker_knows_the_owner_of_an_upload(door: Door) -> None:
    with door.sign_in("alice") as alice, door.sign_in("bob") as bob:
        with tab_at(alice, door.page) as tab:
            session_id, address = tab.run(), tab.ask_for_address()
            ready(bob, door.page)
            first, second = door.workers
            for pid in (first, second):
                with stopped(pid):
                    refused = upload(bob, door.page, address)
                    assert (refused.status_code, refused.json()["code"]) == (403, "upload_not_yours")
                    assert upload(bob, door.page, address, method="DELETE").status_code == 403
                    assert upload(alice, door.page, address).status_code == 204
                    assert upload(alice, door.page, address, method="DELETE").status_code == 204
            with tab_at(bob, door.page, resume=session_id) as intruder:
                assert intruder.run() != session_id
            assert bob.fetch(door.page + tab.media).status_code == 200, "as docs/threat-model.md says of files"
        with tab_at(alice, door.page, resume=session_id) as again:
            assert again.run() == session_id
    secrets = [session_id, address.rsplit("/", 1)[1], tab.media.rsplit("/", 1)[1].partition(".")[0]]
    assert_said_nothing(door, secrets)


def test_in_chromium_only_the_owner_can_upload_and_remove_a_file(door: Door, chromium: Browser) -> None:
    with signed_in(chromium, door, "alice") as page, signed_in(chromium, door, "bob") as other:
        sent: list[Request] = []
        page.on("request", lambda request: sent.append(request) if "upload_file" in request.url else None)
        page.get_by_text("holds None").wait_for()
        words = FilePayload(name="a.txt", mimeType="text/plain", buffer=b"words of alice")
        page.locator("input[type=file]").set_input_files(words)
        expect(page.get_by_text("holds words of alice")).to_be_visible()
        address = sent[0].url.partition("/team/pages")[2]
        other.get_by_text("holds None").wait_for()
        for method in ("PUT", "DELETE"):
            assert other.evaluate(WRITE, ["/team/pages" + address, method]) == 403
        page.reload()
        page.get_by_text("holds None").wait_for()
        page.locator("input[type=file]").set_input_files(words)
        expect(page.get_by_text("holds words of alice")).to_be_visible()
        with page.expect_response(lambda answer: answer.request.method == "DELETE") as removed:
            page.get_by_test_id("stFileChipDeleteBtn").get_by_role("button").or_(
                page.locator("button[data-testid=stFileChipDeleteBtn]")
            ).first.click()
        assert removed.value.status == 204
        expect(page.get_by_text("holds None")).to_be_visible()
        assert_said_nothing(door, address.split("/")[-2:])


WRITE = """async ([address, method]) => {
    const xsrf = document.cookie.split("; ").find(each => each.startsWith("_streamlit_xsrf=")).split("=")[1];
    const body = new FormData();
    body.append("file", new File(["words of bob"], "b.txt"));
    const sent = {method, headers: {"X-Xsrftoken": xsrf}, ...(method === "PUT" ? {body} : {})};
    return (await fetch(address, sent)).status;
}"""


@contextmanager
def signed_in(chromium: Browser, door: Door, person: str) -> Iterator[Page]:
    context: BrowserContext = chromium.new_context()
    door.provider.options.auto_login = person
    page = context.new_page()
    page.goto(door.page + "/")
    try:
        yield page
    finally:
        context.close()


def assert_said_nothing(door: Door, secrets: list[str]) -> None:
    said = door.process.output
    assert said.count("/_stcore/upload_file/*") > 4, "the access log is on"
    assert "Adding media file *" in said, "what the app says is in it"
    for secret in secrets:
        assert len(secret) >= 32
        assert secret not in said
