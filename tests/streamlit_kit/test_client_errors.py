"""`ApiClient` when a call does not succeed: refusals, outages, broken connections."""

import socket
import threading
import time

import pytest

from streamlit_kit import (
    ApiClient,
    ApiError,
    ApiUnavailable,
    Forbidden,
    KitError,
    KitMisconfigured,
    LoginRequired,
)
from streamlit_kit.runtime import Kit
from tests.fakes import HANG
from tests.streamlit_kit.front_door import LOGIN_URL, KitFrontDoor


def test_other_error_statuses_are_answers_until_raise_for_status(door: KitFrontDoor, client: ApiClient) -> None:
    door.problem("/api/a", 422, "validation_failed", **{"X-Request-ID": "request-12345"})
    response = client.post("a", json={})
    assert (response.status_code, response.is_success) == (422, False)
    with pytest.raises(ApiError) as caught:
        response.raise_for_status()
    error = caught.value
    assert (error.code, error.status, error.request_id) == ("validation_failed", 422, "request-12345")
    assert error.response is response


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_is_not_followed(door: KitFrontDoor, client: ApiClient, status: int) -> None:
    door.server.respond("/api/a", status=status, headers={"Location": f"{door.url}/elsewhere"})
    response = client.get("a")
    assert response.status_code == status
    assert not door.server.requests_to("/elsewhere")
    with pytest.raises(ApiError):
        response.raise_for_status()


def test_the_end_of_the_session_raises_sign_in_required_and_is_remembered(door: KitFrontDoor, kit: Kit) -> None:
    session = door.session(kit)
    client = door.client(kit, session)
    door.problem("/api/a", 401, "session_ended", **{"X-Request-ID": "request-12345"})
    with pytest.raises(LoginRequired) as caught:
        client.get("a")
    assert (caught.value.code, caught.value.login_url) == ("session_ended", LOGIN_URL)
    assert caught.value.request_id == "request-12345"
    assert session.ended.is_set()


def test_a_refused_kit_credential_is_a_configuration_error_and_not_the_end_of_the_session(
    door: KitFrontDoor, kit: Kit
) -> None:
    session = door.session(kit)
    door.problem("/api/a", 401, "kit_credential")
    with pytest.raises(KitMisconfigured, match="VESTIBULE_KIT__SECRET"):
        door.client(kit, session).get("a")
    assert not session.ended.is_set()


def test_a_401_of_the_api_is_an_answer_and_not_the_end_of_the_session(door: KitFrontDoor, kit: Kit) -> None:
    session = door.session(kit)
    door.server.respond("/api/a", status=401, json={"detail": "token expired"})
    assert door.client(kit, session).get("a").status_code == 401
    assert not session.ended.is_set()


def test_a_403_of_the_api_or_the_front_door_raises_forbidden(door: KitFrontDoor, client: ApiClient) -> None:
    door.problem("/api/a", 403, "role_missing")
    door.server.respond("/api/b", status=403, body="no")
    with pytest.raises(Forbidden) as caught:
        client.get("a")
    assert caught.value.code == "role_missing"
    with pytest.raises(Forbidden) as caught:
        client.get("b")
    assert caught.value.code == "forbidden"


REASONS: list[tuple[object, str]] = [
    ({"detail": "Only the owner may."}, "Only the owner may."),
    (
        {"detail": {"error": "insufficient_scope", "error_description": "needs one of the roles: editor"}},
        "needs one of the roles: editor",
    ),
    ({"error_description": "not yours", "detail": "other"}, "not yours"),
    ({"detail": [{"loc": ["body"]}]}, ""),
    ({"detail": "x" * 201}, ""),
    ({"detail": "two\nlines"}, ""),
    ({"detail": Forbidden.default_message}, ""),
    ({"detail": "no role in eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"}, ""),
    ({"detail": "unknown key " + "k3" * 20}, ""),
    (
        {"detail": "run 123e4567-e89b-12d3-a456-426614174000 is another's"},
        "run 123e4567-e89b-12d3-a456-426614174000 is another's",
    ),
    ({"detail": {"detail": {"detail": "deep"}}}, ""),
    (["detail"], ""),
    ({}, ""),
]


@pytest.mark.parametrize(("body", "reason"), REASONS)
def test_a_403_has_the_reason_that_the_api_gives(
    door: KitFrontDoor, client: ApiClient, body: object, reason: str
) -> None:
    door.server.respond("/api/a", status=403, json=body)
    with pytest.raises(Forbidden) as caught:
        client.get("a")
    assert caught.value.reason == reason
    assert caught.value.message == Forbidden.default_message
    said = f" The service says: {reason}" if reason else ""
    assert str(caught.value) == Forbidden.default_message + said


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_outage_behind_the_front_door_raises_unavailable(door: KitFrontDoor, client: ApiClient, status: int) -> None:
    door.problem("/api/a", status, "store_unavailable", **{"Retry-After": "7", "X-Request-ID": "request-12345"})
    with pytest.raises(ApiUnavailable) as caught:
        client.get("a")
    error = caught.value
    assert (error.code, error.status, error.retry_after, error.request_id) == (
        "store_unavailable",
        status,
        7,
        "request-12345",
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [("upstream_connect", "is not running"), ("upstream_timeout", "took too long"), ("upstream_closed", "broke off")],
)
def test_the_message_of_the_front_door_about_an_outage_is_kept(
    door: KitFrontDoor, client: ApiClient, code: str, words: str
) -> None:
    door.problem("/api/a", 502, code)
    with pytest.raises(ApiUnavailable, match=words) as caught:
        client.get("a")
    assert caught.value.reason == ""


def test_any_other_refusal_has_the_reason_of_the_api(door: KitFrontDoor, client: ApiClient) -> None:
    reason = "bearer_iss: the issuer is http://localhost:8000, expected is http://localhost:8000/"
    door.server.respond("/api/a", status=401, json={"detail": {"error": "x", "error_description": reason}})
    with pytest.raises(ApiError) as caught:
        client.get("a").raise_for_status()
    assert caught.value.reason == reason
    assert reason in str(caught.value)
    assert reason not in caught.value.message


def test_an_outage_has_the_reason_that_the_api_gives(door: KitFrontDoor, client: ApiClient) -> None:
    reason = "The API main:app is not running: SyntaxError: invalid syntax (main.py, line 1)"
    body = {"code": "api_not_running", "detail": reason}
    door.server.respond("/api/a", status=503, json=body, headers={"Content-Type": "application/problem+json"})
    with pytest.raises(ApiUnavailable) as caught:
        client.get("a")
    assert (caught.value.code, caught.value.reason) == ("api_not_running", reason)
    assert reason in str(caught.value)


@pytest.mark.parametrize("value", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "9" * 40, ""])
def test_an_invalid_retry_after_becomes_the_default(door: KitFrontDoor, client: ApiClient, value: str) -> None:
    door.server.respond("/api/a", status=503, headers={"Retry-After": value})
    with pytest.raises(ApiUnavailable) as caught:
        client.get("a")
    assert caught.value.retry_after == 5


@pytest.mark.parametrize(("status", "media_type"), [(401, "problem+json"), (403, "problem+json"), (503, "json")])
def test_an_error_contains_no_part_of_the_answer(
    door: KitFrontDoor, client: ApiClient, status: int, media_type: str
) -> None:
    canary = "canary<script>"
    headers = {"Content-Type": f"application/{media_type}", "X-Request-ID": canary}
    code = "session_ended" if status == 401 else canary
    door.server.respond("/api/a", status=status, headers=headers, json={"title": canary, "code": code})
    with pytest.raises(KitError) as caught:
        client.get("a")
    error = caught.value
    assert canary not in f"{error}{error!r}{error.code}{error.request_id}{error.message}"


def test_an_unreachable_front_door_raises_unavailable(kit: Kit, door: KitFrontDoor, free_port: int) -> None:
    gone = door.kit(url=f"http://127.0.0.1:{free_port}")
    with pytest.raises(ApiUnavailable) as caught:
        door.client(gone, door.session(kit)).post("a", json={})
    assert caught.value.code == "unreachable"
    gone.http.close()


def test_a_silent_front_door_raises_unavailable_after_the_timeout(door: KitFrontDoor, client: ApiClient) -> None:
    door.server.respond("/api/a", delay=HANG)
    before = time.monotonic()
    with pytest.raises(ApiUnavailable) as caught:
        client.get("a", timeout=0.2)
    assert caught.value.code == "timeout"
    assert time.monotonic() - before < 20


def test_an_incomplete_answer_raises_unavailable(door: KitFrontDoor, client: ApiClient) -> None:
    door.server.respond("/api/a", body="x" * 1000, close_after=10)
    with pytest.raises(ApiUnavailable):
        client.get("a")


class ClosingServer:
    """Answers the first request of a connection with keep-alive and breaks the connection at the second."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self._answered = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                for _ in range(2):
                    head = connection.recv(65536)
                    if not head:
                        break
                    self.seen.append(head.partition(b" HTTP/")[0])
                    if len(self.seen) == 2:
                        break
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def stop(self) -> None:
        self._listener.close()


def test_a_get_on_a_broken_reused_connection_is_sent_once_more(door: KitFrontDoor, kit: Kit) -> None:
    server = ClosingServer()
    there = door.kit(url=server.url)
    client = door.client(there, door.session(kit))
    assert client.get("a").text == "ok"
    assert client.get("b").text == "ok"
    assert server.seen == [b"GET /api/a", b"GET /api/b", b"GET /api/b"]
    there.http.close()
    server.stop()


def test_a_post_is_never_sent_twice(door: KitFrontDoor, kit: Kit) -> None:
    server = ClosingServer()
    there = door.kit(url=server.url)
    client = door.client(there, door.session(kit))
    client.get("a")
    with pytest.raises(ApiUnavailable):
        client.post("b", json={})
    assert server.seen == [b"GET /api/a", b"POST /api/b"]
    there.http.close()
    server.stop()


def test_a_get_on_a_new_connection_is_not_repeated(door: KitFrontDoor, client: ApiClient) -> None:
    door.server.respond("/api/a", raw=b"", close=True)
    door.server.stop()
    door.server.start()
    with pytest.raises(ApiUnavailable):
        client.get("a")
    assert len(door.server.requests_to("/api/a")) == 1


def test_a_stream_raises_the_same_errors(door: KitFrontDoor, client: ApiClient) -> None:
    door.problem("/api/over", 401, "session_ended")
    door.server.respond("/api/mine", status=401, json={"detail": "no"})
    door.server.respond("/api/cut", body="x" * 1000, close_after=10)
    with pytest.raises(LoginRequired), client.stream("GET", "over"):
        pass
    with client.stream("GET", "mine") as stream:
        assert stream.read().json() == {"detail": "no"}
    door.server.respond("/api/endless", status=401, stream=[b"no", HANG], chunked=True)
    with client.stream("GET", "endless", timeout=5) as stream:
        assert next(stream.iter_bytes()) == b"no"
    with client.stream("GET", "cut") as stream, pytest.raises(ApiUnavailable):
        list(stream.iter_bytes())
