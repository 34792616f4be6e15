from __future__ import annotations

import json
from dataclasses import replace
from html import escape

import pytest
from streamlit.testing.v1 import AppTest

from streamlit_kit import ApiUnavailable, require_role
from streamlit_kit.runtime import use_kit
from streamlit_kit.testing import FakeApi, shown_panel, signed_in_as, signed_out
from tests.streamlit_kit.front_door import KitFrontDoor


def login_page() -> None:
    import streamlit as st

    from streamlit_kit import require_login

    person = require_login()
    st.title(f"Secret of {person.name}")


def admin_page() -> None:
    import streamlit as st

    from streamlit_kit import require_role

    person = require_role("admin", "owner")
    st.title(f"Secret of {person.name}")


def logout_page() -> None:
    import streamlit as st

    from streamlit_kit import logout_button

    logout_button(key="here")
    logout_button("Everywhere", everywhere=True, key="everywhere")
    st.title("Rest of the page")


def problem_page() -> None:
    import streamlit as st

    from streamlit_kit import KitError, prepare_client, show_problem

    try:
        st.json(prepare_client().get("data").raise_for_status().json())
    except KitError as error:
        show_problem(error)
    st.title("Rest of the page")


def links_page() -> None:
    from streamlit_kit import login_button, login_link

    login_link("Come in")
    login_button("Enter <now>")


def run(page: object, **query: str) -> AppTest:
    app = AppTest.from_function(page, default_timeout=20)  # type: ignore[arg-type]  # the stub wants no annotation
    app.context = {"url": "http://front-door.test/reports"}
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def body_of(app: AppTest) -> str:
    return "".join(element.body for element in app.html)


def test_a_signed_in_person_sees_the_page() -> None:
    with signed_in_as("alice", name="Alice Example"):
        app = run(login_page)
    assert not app.exception
    assert app.title[0].value == "Secret of Alice Example"
    assert shown_panel(app) == 0


def test_a_signed_out_person_sees_only_a_sign_in_link_that_leads_back() -> None:
    with signed_out():
        app = run(login_page, team="red & blue", view="1")
    assert not app.title
    assert shown_panel(app) == 401
    assert 'href="/auth/login?return_to=/reports%3Fteam%3Dred%2520%2526%2520blue%26view%3D1"' in body_of(app)


def test_a_person_with_the_role_sees_the_page() -> None:
    with signed_in_as("olga", roles=("owner",)):
        app = run(admin_page)
    assert app.title[0].value == "Secret of Olga"


def test_a_person_without_the_role_sees_their_name_and_the_missing_role() -> None:
    with signed_in_as("bob", roles=("viewer",), name="Bob Example", email="bob@example.com"):
        app = run(admin_page)
    assert not app.title
    assert shown_panel(app) == 403
    body = body_of(app)
    for text in ("Bob Example", "bob@example.com", ">viewer<", ">admin<", ">owner<", 'href="/auth/logout"'):
        assert text in body


def test_a_signed_out_person_is_asked_to_sign_in_before_roles_are_checked() -> None:
    with signed_out():
        app = run(admin_page)
    assert not app.title
    assert shown_panel(app) == 401


def test_names_of_people_and_roles_are_shown_as_text() -> None:
    with signed_in_as("eve", roles=("<b>r</b>",), name="<script>alert(1)</script>", email='"><img src=x>@example.com'):
        body = body_of(run(admin_page))
    for markup in ("<script>alert", "<b>r</b>", "<img"):
        assert markup not in body
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body
    with signed_in_as("eve", name="<i>eve</i>", email="<i>eve</i>"):
        assert "<i>eve" not in body_of(run(admin_page))


@pytest.mark.parametrize("roles", [(), ("",)])
def test_a_role_guard_without_a_role_is_an_error(roles: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="roles"):
        require_role(*roles)


def test_the_sign_out_button_posts_a_form_when_it_is_clicked() -> None:
    with signed_in_as("alice"):
        app = run(logout_page)
        assert not app.html
        app.button(key="here").click().run()
        body = body_of(app)
        assert '<form method="post" action="/auth/logout">' in body
        assert "everywhere" not in body
        app.button(key="everywhere").click().run()
        assert '<input type="hidden" name="everywhere" value="1">' in body_of(app)
    assert app.title


def test_there_is_no_sign_out_button_without_a_signed_in_person() -> None:
    with signed_out():
        app = run(logout_page)
    assert not app.button
    assert app.title


def test_sign_in_links_open_in_the_same_tab() -> None:
    with signed_out():
        body = body_of(run(links_page))
    assert body.count('href="/auth/login?return_to=/reports"') == 2
    assert body.count('target="_self"') == 2
    assert "Enter &lt;now&gt;" in body


def test_a_signed_in_person_is_not_treated_as_signed_out_during_an_outage(door: KitFrontDoor) -> None:
    def fail() -> None:
        raise ApiUnavailable(code="key_set_unavailable")

    kit = door.kit(public_url="http://front-door.test")
    with kit.http, use_kit(replace(kit, find_session=fail)):
        for page in (login_page, admin_page):
            app = run(page)
            assert not app.exception
            assert not app.title
            assert shown_panel(app) == 503
        assert [button.label for button in run(logout_page).button] == ["Sign out", "Everywhere"]


def test_errors_of_the_kit_can_be_shown_on_the_page() -> None:
    for api, panel in (
        (FakeApi().session_over("GET", "data"), 401),
        (FakeApi().not_allowed("GET", "data"), 403),
        (FakeApi().out_of_reach("GET", "data"), 503),
        (FakeApi().on("GET", "data", status=422), 422),
        (FakeApi().on("GET", "data", json={"x": 1}), 0),
    ):
        with signed_in_as("alice", api=api):
            app = run(problem_page)
        assert not app.exception
        assert shown_panel(app) == panel
        assert app.title


def test_a_refusal_shows_the_reason_of_the_api_as_text() -> None:
    api = FakeApi().on("GET", "data", status=403, json={"detail": "needs one of the roles: <b>analyst</b>"})
    with signed_in_as("bob", roles=("viewer",), api=api):
        app = run(problem_page)
    assert shown_panel(app) == 403
    assert "needs one of the roles: &lt;b&gt;analyst&lt;/b&gt;" in body_of(app)
    assert "viewer" in body_of(app)
    with signed_in_as("bob", api=FakeApi().on("GET", "data", status=403, content=b"no")):
        assert "The service says" not in body_of(run(problem_page))


def test_the_message_of_a_page_without_a_front_door_says_what_to_do() -> None:
    with use_kit(None):
        app = run(login_page)
    assert "vestibule dev" in app.exception[0].message
    assert not app.title


def api_that_is_not_running(reason: str, *, code: str = "api_not_running") -> FakeApi:
    content = json.dumps({"status": 503, "code": code, "detail": reason}).encode()
    return FakeApi().on(
        "GET", "data", status=503, content=content, headers={"Content-Type": "application/problem+json"}
    )


def test_the_reason_why_an_api_in_development_does_not_start_is_the_headline() -> None:
    reason = "The API main:app is not running: SyntaxError: invalid <syntax> (main.py, line 1)"
    with signed_in_as("dev", api=api_that_is_not_running(reason)):
        app = run(problem_page)
    assert not app.exception
    assert shown_panel(app) == 503
    assert f"<h1>{escape(reason)}</h1>" in body_of(app)
    assert "Save a Python file of the API" in body_of(app)
    assert "Out of reach" not in body_of(app)


def test_another_outage_keeps_its_general_headline_and_shows_the_reason_below() -> None:
    with signed_in_as("dev", api=api_that_is_not_running("The database is full", code="overloaded")):
        app = run(problem_page)
    assert "<h1>Out of reach right now</h1>" in body_of(app)
    assert "<dd>The database is full</dd>" in body_of(app)


def test_a_broken_api_that_gives_no_reason_has_the_general_headline() -> None:
    with signed_in_as("dev", api=api_that_is_not_running("")):
        app = run(problem_page)
    assert "<h1>Out of reach right now</h1>" in body_of(app)
