"""CB-2, OT-1 and the kit with several processes: what works only once works once in all of them together."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from tests.replicas.replica_set import SAME_ORIGIN, ReplicaSet, kit_credential, session_cookie, storm, until
from tests.replicas.visits import BINDING, code_for, redeem

OTHER_BINDING = base64.urlsafe_b64encode(hashlib.sha256(b"another browser").digest()).decode().rstrip("=")


def test_cb_2_a_hundred_identical_callbacks_at_three_processes_open_one_session(doors: ReplicaSet) -> None:
    path, transaction = doors.start_login(doors[0])
    requests = [(doors[number % 3], doors[number % 3].request(path, cookie=transaction)) for number in range(100)]
    answers = storm(requests)
    assert len(doors.provider.hits_of("token")) == 1
    (first,) = [answer for answer in answers if answer.status == 303]
    assert {answer.status for answer in answers if answer is not first} == {400}
    cookies = [value for answer in answers for value in answer.all("set-cookie") if value.startswith("vestibule=")]
    assert len(cookies) == 1
    assert [replica.call_api(session_cookie(first)).status for replica in doors] == [200] * 3
    sub = doors.provider.logins()[-1].sub
    sid = doors.sid_of_last_login()
    assert len(doors[1].manage(f"/admin/sessions?sub={sub}&sid={sid}").json()["sessions"]) == 1


def test_a_sign_in_that_failed_at_one_process_cannot_be_used_at_any_process(doors: ReplicaSet) -> None:
    path, transaction = doors.start_login(doors[0])
    doors.provider.bend.token.raw(400, json={"error": "invalid_grant"}, times=1)
    assert [replica.send(path, cookie=transaction).status for replica in doors] == [400] * 3
    assert len(doors.provider.hits_of("token")) == 1


def test_ot_1_a_hundred_redemptions_of_one_code_at_three_processes_give_one_handle(doors: ReplicaSet) -> None:
    """Each other attempt is a replay, which ends what the first one got."""
    code, cookie = code_for(doors)
    body = json.dumps({"code": code, "binding": BINDING}).encode()
    requests = [
        (replica, replica.request("/auth/kit/exchange", kit_credential(), method="POST", body=body))
        for replica in [doors[number % 3] for number in range(100)]
    ]
    answers = storm(requests)
    (first,) = [answer for answer in answers if answer.status == 200]
    assert {answer.status for answer in answers if answer is not first} == {400}
    handle = json.loads(first.body)["session_handle"]
    for replica in doors:
        assert replica.call_kit("/api/x", f"X-Vestibule-Session: {handle}", method="GET").status == 401
        assert replica.call_api(cookie).status == 401
    until(lambda: doors.events("kit_refused"), seconds=2)
    assert {event["reason"] for event in doors.events("kit_refused")} == {"kit_code_replayed"}


def test_ot_1_a_handle_works_at_every_process_until_its_code_is_used_again(doors: ReplicaSet) -> None:
    code, cookie = code_for(doors)
    answer = redeem(doors[0], code)
    assert answer.status == 200
    handle = f"X-Vestibule-Session: {json.loads(answer.body)['session_handle']}"
    assert [replica.call_kit("/api/x", handle, method="GET").status for replica in doors] == [200] * 3
    assert redeem(doors[1], code).status == 400
    assert [replica.call_kit("/api/x", handle, method="GET").status for replica in doors] == [401] * 3
    assert [replica.call_api(cookie).status for replica in doors] == [401] * 3


@pytest.mark.parametrize("fault", ["another browser", "another client"])
def test_ot_2_a_wrong_binding_makes_the_code_unusable_at_every_process(doors: ReplicaSet, fault: str) -> None:
    code, cookie = code_for(doors)
    wrong = (
        redeem(doors[0], code, binding=OTHER_BINDING)
        if fault == "another browser"
        else redeem(doors[0], code, client="reports")
    )
    assert wrong.status == 400
    assert [redeem(replica, code).status for replica in doors] == [400] * 3
    assert [replica.call_api(cookie).status for replica in doors] == [200] * 3, "nothing was given, nothing is taken"


def test_ot_4_a_code_is_invalid_after_the_end_of_its_session(doors: ReplicaSet) -> None:
    code, cookie = code_for(doors)
    assert doors[2].post_form("/auth/logout", "", *SAME_ORIGIN, cookie=cookie).status == 303
    assert [redeem(replica, code).status for replica in doors] == [400] * 3


def test_a_kit_gets_tokens_and_page_state_at_any_process(doors: ReplicaSet) -> None:
    code, _ = code_for(doors)
    handle = f"X-Vestibule-Session: {json.loads(redeem(doors[0], code).body)['session_handle']}"
    for replica in doors:
        answer = replica.call_kit("/auth/kit/token", handle, value={"audience": "models-api"})
        assert answer.status == 200
        assert json.loads(answer.body)["token_type"] == "Bearer"
    assert doors[0].call_kit("/auth/kit/state/filters", handle, method="PUT", value={"rows": 5}).status == 204
    assert doors[1].call_kit("/auth/kit/state/filters", handle, method="GET").body == b'{"rows": 5}'
    assert doors[1].call_kit("/auth/kit/state/filters", handle, method="DELETE").status == 204
    assert doors[2].call_kit("/auth/kit/state/filters", handle, method="GET").status == 404
