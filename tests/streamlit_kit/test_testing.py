"""The test tools for authors of pages."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from streamlit_kit.testing import FakeAnswer, FakeApi, FakeRequest, signed_in_as, signed_out


def predict_page() -> None:
    import streamlit as st

    from streamlit_kit import auth_headers, current_user, page_state, prepare_client

    client = prepare_client()
    person = current_user()
    st.write(person.sub if person else "nobody", client.is_authenticated)
    depth = st.number_input("Depth", value=3)
    answer = client.post("predict", json={"depth": depth}, params={"unit": "m"}, headers={"X-Trial": "7"})
    st.metric("Yield", answer.raise_for_status().json()["yield"])
    if person:
        draft = page_state("draft")
        st.caption(str(draft.load(default="none")))
        draft.save({"depth": depth})
        st.text(auth_headers("models")["Authorization"])


def run_page() -> AppTest:
    return AppTest.from_function(predict_page, default_timeout=20).run()


def test_a_page_gets_the_given_answers_and_its_requests_are_recorded() -> None:
    api = FakeApi().on("POST", "predict", json={"yield": 0.7})
    with signed_in_as("alice", roles=("analyst",), api=api) as alice:
        app = run_page()
        assert not app.exception
        app.number_input[0].set_value(12).run()
    assert alice.roles == ("analyst",)
    assert app.metric[0].value == "0.7"
    first, second = api.requests
    assert (first.method, first.path, first.params) == ("POST", "predict", {"unit": "m"})
    assert first.headers["x-trial"] == "7"
    assert second.json() == {"depth": 12}
    assert not {"x-vestibule-kit", "x-vestibule-session"} & set(first.headers)


def test_page_state_is_kept_until_the_end_of_the_block() -> None:
    api = FakeApi().on("POST", "predict", json={"yield": 1})
    with signed_in_as("alice", api=api):
        assert run_page().caption[0].value == "none"
        assert run_page().caption[0].value == "{'depth': 3}"
    with signed_in_as("alice", api=api):
        assert run_page().caption[0].value == "none"


def test_an_answer_can_be_a_function_of_the_request() -> None:
    def double(request: FakeRequest) -> FakeAnswer:
        return FakeAnswer(json={"yield": request.json()["depth"] * 2})

    with signed_in_as("alice", api=FakeApi().on("POST", "predict", answer=double)):
        assert run_page().metric[0].value == "6"


def test_a_path_without_a_given_answer_gets_404() -> None:
    with signed_in_as("alice"):
        app = run_page()
    assert "404" in app.exception[0].message


def test_a_signed_out_page_has_no_person_and_can_call_a_public_api() -> None:
    with signed_out(api=FakeApi().on("POST", "predict", json={"yield": 1})):
        app = run_page()
    assert "nobody" in app.markdown[0].value
    assert app.metric[0].value == "1"


def test_blocks_can_be_nested_and_end_cleanly() -> None:
    api = FakeApi().on("POST", "predict", json={"yield": 1})
    with signed_in_as("alice", api=api):
        with signed_in_as("bob", api=api):
            assert "bob" in run_page().markdown[0].value
        assert "alice" in run_page().markdown[0].value
    assert "VESTIBULE_KIT__URL" in run_page().exception[0].message
