from __future__ import annotations

from typing import Any

import pytest

from streamlit_kit import ApiClient, ApiUnavailable, Forbidden, KitMisconfigured, LoginRequired
from streamlit_kit.runtime import Kit
from tests.streamlit_kit.front_door import HANDLE, LOGIN_URL, KitFrontDoor

TOKEN = "/auth/kit/token"


def test_the_token_for_an_audience_becomes_a_header(door: KitFrontDoor, client: ApiClient) -> None:
    door.server.respond(TOKEN, json={"access_token": "abc.def", "token_type": "bearer", "expires_at": 1})
    assert client.auth_headers(audience="models-api") == {"Authorization": "Bearer abc.def"}
    request = door.server.last
    assert (request.method, request.json()) == ("POST", {"audience": "models-api"})
    assert request.header("X-Vestibule-Session") == HANDLE
    assert (request.header("X-Vestibule-Kit") or "").startswith("dashboards:")


def test_each_call_requests_a_new_token(door: KitFrontDoor, client: ApiClient) -> None:
    for number in (1, 2):
        door.server.respond(TOKEN, json={"access_token": f"token-{number}", "token_type": "Bearer"})
        assert client.auth_headers()["Authorization"] == f"Bearer token-{number}"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"access_token": "", "token_type": "Bearer"},
        {"access_token": "a", "token_type": "DPoP"},
        {"access_token": "a b", "token_type": "Bearer"},
        {"access_token": "a\r\nX-Evil: 1", "token_type": "Bearer"},
        {"access_token": 7, "token_type": "Bearer"},
    ],
)
def test_an_answer_that_is_not_a_bearer_token_is_not_used(door: KitFrontDoor, client: ApiClient, answer: Any) -> None:
    door.server.respond(TOKEN, json=answer)
    with pytest.raises(ApiUnavailable) as caught:
        client.auth_headers()
    assert caught.value.code == "token_malformed"


def test_refusals_of_tokens_raise_errors_of_the_kit(door: KitFrontDoor, client: ApiClient) -> None:
    door.problem(TOKEN, 401, "session_ended")
    with pytest.raises(LoginRequired):
        client.auth_headers()
    door.server.respond(TOKEN, status=401, body="no")
    with pytest.raises(LoginRequired):
        client.auth_headers()
    door.problem(TOKEN, 400, "unknown_audience")
    with pytest.raises(Forbidden) as caught:
        client.auth_headers("other")
    assert caught.value.code == "unknown_audience"
    door.server.respond(TOKEN, status=404)
    with pytest.raises(KitMisconfigured):
        client.auth_headers()
    door.problem(TOKEN, 503, "store_unavailable")
    with pytest.raises(ApiUnavailable):
        client.auth_headers()


def test_without_a_signed_in_person_there_is_no_token(door: KitFrontDoor, kit: Kit) -> None:
    client = ApiClient(kit, None, route_path="/api/", login_url=LOGIN_URL)
    with pytest.raises(LoginRequired):
        client.auth_headers()
    assert not door.server.requests_to(TOKEN)
