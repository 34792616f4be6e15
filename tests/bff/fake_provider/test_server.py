"""The provider's HTTP: wrong requests, an outage, and the process that `vestibule demo` runs."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from bff.testing import FakeProvider
from bff.testing.provider.client import Client
from tests.ports import free_port

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("method", "path", "how", "status"),
    [
        ("GET", "/nowhere", {}, 404),
        ("GET", "/token", {}, 405),
        ("POST", "/jwks.json", {}, 405),
        ("PUT", "/token", {}, 501),
        ("POST", "/token", {"content": b"x" * 65_537, "headers": FORM}, 413),
        ("POST", "/token", {"content": iter([b"a=b"]), "headers": FORM}, 411),
        ("POST", "/token", {"json": {"grant_type": "x"}}, 415),
        ("POST", "/token", {"content": b"a=1&a=2", "headers": FORM}, 400),
        ("POST", "/token", {"content": b"a=%ff", "headers": FORM}, 400),
        ("POST", "/token", {"content": b"a=\xff", "headers": FORM}, 400),
        ("GET", "/authorize?a=%ff", {}, 400),
    ],
    ids=[
        "no such address",
        "GET of the token endpoint",
        "POST of the keys",
        "another method",
        "a large body",
        "a body without a length",
        "JSON",
        "a name twice",
        "an encoding that is broken",
        "bytes that are not ASCII",
        "a query that is broken",
    ],
)
def test_an_unreadable_request_gets_its_error_status(
    provider: FakeProvider, method: str, path: str, how: dict[str, object], status: int
) -> None:
    with httpx.Client() as http:
        answer = http.request(method, provider.issuer + path, **how)  # type: ignore[arg-type]  # a table of keywords
    assert answer.status_code == status


def test_every_path_answers_503_during_an_outage(provider: FakeProvider) -> None:
    provider.is_down = True
    for path in ("/jwks.json", "/", "/authorize", "/.well-known/openid-configuration"):
        assert httpx.get(provider.issuer + path).status_code == 503


def test_a_client_that_leaves_early_does_no_harm(provider: FakeProvider, capfd: pytest.CaptureFixture[str]) -> None:
    for sent in (b"", b"GET / HT", b"POST /token HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"):
        with socket.create_connection(("127.0.0.1", int(provider.issuer.rpartition(":")[2]))) as connection:
            connection.sendall(sent)
    assert httpx.get(provider.issuer + "/").status_code == 200
    assert capfd.readouterr().err == ""


def test_the_discovery_document_names_addresses_that_answer(provider: FakeProvider) -> None:
    document = httpx.get(provider.issuer + "/.well-known/openid-configuration").json()
    assert document["issuer"] == provider.issuer
    addresses = [value for name, value in document.items() if name.endswith(("_endpoint", "_uri"))]
    assert len(addresses) == 6
    for address in addresses:
        assert address.startswith(provider.issuer + "/")
        assert httpx.get(address).status_code != 404


Process = subprocess.Popen[str]


def configuration(port: object = 9, **changes: object) -> str:
    people = [{"sub": "carol", "name": "Carol", "roles": ["analyst"], "preferred_username": "c", "department": "x"}]
    client = {"secret": "unit-test-secret", "name": "Desk", "redirect_uris": ["http://localhost:9/callback"]}
    return json.dumps({"port": port, "client": client, "people": people, "audience": "models"} | changes)


def started(text: str) -> Process:
    process = subprocess.Popen(
        [sys.executable, "-m", "bff.testing.provider"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdin
    process.stdin.write(text)
    process.stdin.close()
    process.stdin = None
    return process


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def running(port: int) -> Iterator[Process]:
    process = started(configuration(port))
    deadline = time.monotonic() + 30
    while not listens(port):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield process
    process.kill()
    process.communicate()


def test_the_process_serves_the_configuration_from_standard_input(running: Process, port: int) -> None:
    query = {"client_id": "vestibule", "redirect_uri": "http://localhost:9/callback", "response_type": "code"}
    query |= {"scope": "openid", "code_challenge": "x" * 43, "code_challenge_method": "S256"}
    page = httpx.get(f"http://127.0.0.1:{port}/authorize", params=query)
    assert "carol · analyst" in page.text
    assert "<strong>Desk</strong>" in page.text
    refused = httpx.get(f"http://127.0.0.1:{port}/authorize", params=query | {"redirect_uri": "http://localhost:8/"})
    assert refused.status_code == 400


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_without_output(running: Process, sent: signal.Signals) -> None:
    running.send_signal(sent)
    assert running.wait(10) == 0
    assert running.stdout
    assert running.stdout.read() == ""


@pytest.mark.parametrize(
    "changes",
    [{"unknown": 1}, {"port": "x"}, {"client": {"name": "no secret"}}, {"people": [{"name": "nobody"}]}],
    ids=["an unknown key", "no port", "no secret", "a person without sub"],
)
def test_an_unusable_configuration_is_reported_without_its_secret(changes: dict[str, object]) -> None:
    process = started(configuration(**changes))
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert said.startswith("ERROR: this is not the configuration of a provider")
    assert "unit-test-secret" not in said
    assert "Traceback" not in said


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = started(configuration(port))
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"cannot listen on port {port}: " in said
    assert "Traceback" not in said


APPLICATION = "http://localhost:8123"


@pytest.fixture
def provider_of_an_application() -> Iterator[FakeProvider]:
    with FakeProvider(client=Client(name="Rookery", uri=APPLICATION)) as running:
        yield running


@pytest.mark.parametrize(
    ("target", "there"),
    [
        ("/", f"{APPLICATION}/"),
        ("/Explore", f"{APPLICATION}/Explore"),
        ("/Explore?a=1&b=%22%3E", f"{APPLICATION}/Explore?a=1&amp;b=%22%3E"),
        ("//other.example/x", f"{APPLICATION}/other.example/x"),
    ],
    ids=["the start", "a page", "a page with a query", "another host in the path"],
)
def test_a_browser_at_the_providers_address_is_led_to_the_application(
    provider_of_an_application: FakeProvider, target: str, there: str
) -> None:
    port = provider_of_an_application.issuer.rpartition(":")[2]
    with socket.create_connection(("127.0.0.1", int(port))) as browser:
        browser.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/html\r\n\r\n".encode())
        answer = b"".join(iter(lambda: browser.recv(65_536), b"")).decode()
    assert f'href="{there}"' in answer
    assert "This is the sign-in provider" in answer
    assert "Rookery" in answer
    assert answer.startswith("HTTP/1.0 200" if target == "/" else "HTTP/1.0 404")


def test_a_program_at_an_address_that_does_not_exist_gets_json(provider_of_an_application: FakeProvider) -> None:
    answer = httpx.get(f"{provider_of_an_application.issuer}/nowhere")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_a_provider_that_knows_no_application_leads_nowhere(provider: FakeProvider) -> None:
    for path in ("/", "/Explore"):
        page = httpx.get(provider.issuer + path, headers={"Accept": "text/html"}).text
        assert "This is the sign-in provider" not in page
