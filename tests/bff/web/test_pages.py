"""The account page: every session can be told from the others, by eye and by ear."""

from __future__ import annotations

from typing import Any

from bff.web.pages import render_page


def session(number: int, **over: Any) -> dict[str, Any]:
    row = {"id": f"00000000000{number}", "current": False, "device": "", "began": f"0{number} May", "ends": "later"}
    return row | over


def account(*sessions: dict[str, Any], **over: Any) -> str:
    person: dict[str, Any] = {"name": "Alice", "email": "alice@example.com", "roles": ("analyst",)} | over
    person |= {"base": "/auth/sessions", "logout_url": "/auth/logout", "home": "/"}
    return render_page("account.html", sessions=list(sessions), **person).body.decode()


def test_each_button_says_which_session_it_ends() -> None:
    page = account(session(1, device="Firefox on Linux"), session(2), session(3, current=True))
    assert 'aria-label="End the session on Firefox on Linux, signed in 01 May"' in page
    assert 'aria-label="End the session on unknown device, signed in 02 May"' in page
    assert page.count("<button") == 2
    assert "<h1>Your account</h1>" in page


def test_each_session_has_the_id_of_the_log() -> None:
    page = account(session(1), session(2, current=True))
    assert '<code class="id">000000000001</code>' in page
    assert '<code class="id">000000000002</code>' in page


def test_the_name_of_a_browser_is_shown_as_text() -> None:
    page = account(session(1, device='"><script>x</script>'), name="<b>", email="", roles=())
    assert "<script>" not in page
    assert "<b>" not in page
    assert " · " not in page
