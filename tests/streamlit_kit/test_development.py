"""A page without a front door, as the development person, with an ordinary API on a real socket."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from fastapi import Depends, FastAPI
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

from bff import contract
from bff.bearer import JWTBearer, RequireRoles, StandardClaims
from streamlit_kit import Forbidden, KitMisconfigured, OutsidePage, current_user
from streamlit_kit.client import ApiClient
from streamlit_kit.development import Development, mint_token, read_development
from streamlit_kit.runtime import current_kit, use_kit
from tests.bff.serving import serving
from tests.streamlit_kit.visitor import Visitor, streamlit_running, visiting

SECRET = "unit-test-development-secret-0123456789"
PERSON = "alice:analyst+admin"

PAGE = """
import json
import streamlit as st
import streamlit_kit as kit

person = kit.current_user()
answer = kit.prepare_client().get("me")
st.text(json.dumps([person.sub, person.roles, answer.status_code, answer.json()]))
"""


def page() -> None:
    import streamlit as st

    import streamlit_kit as kit

    person = kit.require_role("analyst")
    kit.logout_button()
    st.text(f"{person.sub} {person.email} {' '.join(person.roles)}")
    client = kit.prepare_client()
    st.json(client.get("me").raise_for_status().json())
    st.json(kit.prepare_client("models").get("me", headers={"X-Trial": "7"}).raise_for_status().json())
    st.text(kit.auth_headers()["Authorization"])


def page_that_needs_another_role() -> None:
    import streamlit_kit as kit

    kit.require_role("editor")


def page_with_state() -> None:
    import streamlit_kit as kit

    kit.page_state("draft").save({"depth": 12})


def create_api() -> FastAPI:
    app, bearer = FastAPI(), JWTBearer.from_env()
    wanted = Depends(bearer)

    @app.get("/base/me")
    @app.get("/me")
    def me(caller: StandardClaims = wanted) -> dict[str, Any]:
        return {"sub": caller.sub, "roles": caller.roles, "email": caller.email, "name": caller.name}

    @app.get("/editors", dependencies=[Depends(RequireRoles(bearer, "editor"))])
    def editors() -> None: ...

    return app


@pytest.fixture
def development(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The environment of a developer, with the API running in it; yields the API's address."""
    come_from(None, monkeypatch)
    monkeypatch.setenv("VESTIBULE_DEV_SECRET", SECRET)
    monkeypatch.setenv("VESTIBULE_DEV_PERSON", PERSON)
    with serving(create_api()) as url, use_kit(None):
        monkeypatch.setenv("VESTIBULE_DEV_API_URL", url)
        yield url
        current_kit().http.close()


def come_from(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the visitor's address, because `AppTest` has no connection. Streamlit says None for loopback."""
    monkeypatch.setattr(ContextProxy, "ip_address", property(lambda _: address))


def read(**variables: str) -> Development | None:
    return read_development({"VESTIBULE_DEV_SECRET": SECRET} | variables)


@pytest.mark.usefixtures("development")
def test_a_page_and_its_api_see_the_development_person() -> None:
    app = AppTest.from_function(page, default_timeout=20).run()
    assert not app.exception
    assert app.text[0].value == "alice alice@example.com analyst admin"
    expected = {"sub": "alice", "roles": ["analyst", "admin"], "email": "alice@example.com", "name": "Alice"}
    assert [json.loads(shown.value) for shown in app.json] == [expected, expected]
    assert app.text[1].value.startswith("Bearer ")
    assert not app.button


def test_paths_start_at_the_address_of_the_api(development: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VESTIBULE_DEV_API_URL", f"{development}/base/")
    app = AppTest.from_function(page, default_timeout=20).run()
    assert not app.exception
    assert json.loads(app.json[0].value)["sub"] == "alice"


@pytest.mark.usefixtures("development")
def test_a_role_that_the_development_person_does_not_have_is_missing_at_the_page_and_the_api() -> None:
    app = AppTest.from_function(page_that_needs_another_role, default_timeout=20).run()
    assert 'data-code="403"' in app.html[0].body
    client = ApiClient(current_kit(), None, route_path="/", login_url="")
    with pytest.raises(Forbidden):
        client.get("editors")


@pytest.mark.usefixtures("development")
@pytest.mark.parametrize("address", ["192.168.0.7", "2001:db8::1", "::ffff:192.168.0.7", "", "unknown"])
def test_a_visitor_from_another_machine_is_not_the_development_person(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    come_from(address, monkeypatch)
    app = AppTest.from_function(page, default_timeout=20).run()
    assert "from another machine" in app.exception[0].message
    assert not app.text


@pytest.mark.usefixtures("development")
def test_an_api_with_another_secret_refuses_the_development_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VESTIBULE_DEV_SECRET", SECRET[::-1])
    client = ApiClient(current_kit(), None, route_path="/", login_url="")
    assert client.get("me").status_code == 401


@pytest.mark.usefixtures("development")
def test_a_client_sends_neither_credential_nor_handle_to_the_api() -> None:
    client = ApiClient(current_kit(), None, route_path="/", login_url="")
    assert set(client._credentials()) == {"Authorization"}
    with pytest.raises(ValueError, match="set by the kit"):
        client.get("me", headers={"authorization": "Bearer x"})
    with pytest.raises(ValueError, match="segments"):
        client.get("../me")


@pytest.mark.usefixtures("development")
def test_the_error_of_page_state_says_that_it_needs_a_front_door() -> None:
    app = AppTest.from_function(page_with_state, default_timeout=20).run()
    assert "front door" in app.exception[0].message


@pytest.mark.usefixtures("development")
def test_nobody_is_signed_in_outside_a_page() -> None:
    with pytest.raises(OutsidePage):
        current_user()


@pytest.mark.usefixtures("development")
def test_the_warning_about_the_development_person_is_logged_once_without_the_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert current_kit() is current_kit()
    warnings = [record.getMessage() for record in caplog.records if record.name == "streamlit_kit.development"]
    assert len(warnings) == 1
    assert "VESTIBULE_DEV_SECRET" in warnings[0]
    assert "'alice'" in warnings[0]
    assert SECRET not in warnings[0] + repr(current_kit())


def test_a_development_token_has_the_agreed_form_and_is_valid_for_a_minute() -> None:
    person = read(VESTIBULE_DEV_PERSON="bob@corp.example:viewer")
    assert person is not None
    now = int(time.time())
    token = mint_token(person, now=now + 0.7)
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": contract.TYP_UPSTREAM}
    assert jwt.decode(token, SECRET, algorithms=["HS256"], audience=contract.DEV_AUDIENCE) == {
        "iss": contract.DEV_ISSUER,
        "aud": contract.DEV_AUDIENCE,
        "sub": "bob@corp.example",
        "preferred_username": "bob@corp.example",
        "name": "Bob",
        "email": "bob@corp.example",
        "roles": ["viewer"],
        "iat": now,
        "exp": now + 60,
    }


def test_without_the_secret_there_is_no_development_person() -> None:
    assert read_development({"VESTIBULE_DEV_PERSON": PERSON}) is None
    assert read_development({"VESTIBULE_DEV_SECRET": ""}) is None


def test_the_defaults_are_a_person_without_roles_and_the_default_port() -> None:
    assert read() == Development(secret=SECRET, sub="dev", roles=(), api_url="http://127.0.0.1:8000")


def test_a_front_door_together_with_a_development_secret_is_refused() -> None:
    with pytest.raises(KitMisconfigured, match=r"VESTIBULE_DEV_SECRET and VESTIBULE_KIT__URL"):
        read(VESTIBULE_KIT__URL="https://apps.example.com")


def test_a_short_secret_is_refused_and_not_repeated() -> None:
    with pytest.raises(KitMisconfigured, match="shorter than 32 bytes") as caught:
        read(VESTIBULE_DEV_SECRET=SECRET[:31])
    assert SECRET[:31] not in str(caught.value)


@pytest.mark.parametrize("person", [":", "alice:", ":analyst", "alice:a++b", "alice:a+", "al ice", "alice:a b"])
def test_a_person_that_cannot_be_read_is_refused(person: str) -> None:
    with pytest.raises(KitMisconfigured, match="VESTIBULE_DEV_PERSON"):
        read(VESTIBULE_DEV_PERSON=person)


@pytest.mark.parametrize(
    "url", ["http://localhost:8001", "http://127.0.0.1", "http://127.8.9.1:1/v1", "http://[::1]:8001"]
)
def test_an_api_on_loopback_is_accepted(url: str) -> None:
    person = read(VESTIBULE_DEV_API_URL=url + "/")
    assert person is not None
    assert person.settings.url == url


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:8000",
        "http://192.168.0.7:8000",
        "http://0.0.0.0:8000",
        "http://[::]:8000",
        "http://api.example.com",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://127.0.0.1@example.com",
        "http://me:pw@127.0.0.1",
        "http://127.0.0.1:0",
        "http://127.0.0.1:99999",
        "http://127.0.0.1/?to=x",
        "http://127.0.0.1/#x",
        "http://127.0.0.1/a/../b",
        "http://127.0.0.1\\x",
        "http://127.0.0.1/\nx",
        "http://2130706433",
        "127.0.0.1:8000",
        "//127.0.0.1",
    ],
)
def test_development_tokens_are_refused_for_any_other_address(url: str) -> None:
    with pytest.raises(KitMisconfigured, match="VESTIBULE_DEV_API_URL"):
        read(VESTIBULE_DEV_API_URL=url)


def test_a_real_page_has_the_development_person_only_for_visitors_from_this_machine(
    development: str, tmp_path: Path, free_port: int
) -> None:
    script = tmp_path / "app.py"
    script.write_text(PAGE, encoding="utf-8")
    variables = {
        "VESTIBULE_DEV_SECRET": SECRET,
        "VESTIBULE_DEV_PERSON": PERSON,
        "VESTIBULE_DEV_API_URL": development,
    }
    with streamlit_running(script, free_port, variables):
        with visiting(free_port, []) as visitor:
            sub, roles, status, answer = json.loads(visitor.run().texts[0])
        assert (sub, roles, status, answer["sub"]) == ("alice", ["analyst", "admin"], 200, "alice")
        for name in ("X-Vestibule-Assertion", "X-Vestibule-Session", "x-vestibule-other", "X-Auth-Request-Id"):
            with visiting(free_port, [(name, "x")]) as visitor:
                assert refusal(visitor).endswith("unset it, and set VESTIBULE_KIT__URL.")
        for name in ("X-Forwarded-For", "X-Real-IP", "Via", "Forwarded"):
            with visiting(free_port, [(name, "127.0.0.1")]) as visitor:
                assert "from another machine or by a proxy" in refusal(visitor)


def refusal(visitor: Visitor) -> str:
    sight = visitor.run()
    assert not sight.texts
    return sight.exceptions[0]
