from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from streamlit_kit import Page, pages
from streamlit_kit.testing import shown_panel, signed_in_as, signed_out

MAIN = """
import streamlit as st
from streamlit_kit import Page, pages

chosen = pages([
    Page("welcome.py", title="Welcome"{welcome}),
    Page("explore.py", title="Explore", roles=("analyst",), section={section!r}),
    Page("admin.py", title="Admin", roles=("admin",), url_path="control"),
])
st.caption(f"chosen {{chosen.title}} at /{{chosen.url_path}}")
chosen.run()
"""


def make_app(folder: Path, *, welcome: str = "", section: str = "") -> AppTest:
    (folder / "main.py").write_text(MAIN.format(welcome=welcome, section=section))
    for name in ("welcome", "explore", "admin"):
        (folder / f"{name}.py").write_text(f"import streamlit as st\nst.title('Inside {name}')\n")
    return AppTest.from_file(str(folder / "main.py"), default_timeout=20)


def titles(app: AppTest) -> list[str]:
    return [title.value for title in app.title]


def test_each_person_can_open_the_pages_of_their_roles(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    with signed_in_as("alice", roles=("analyst", "admin")):
        assert titles(app.run()) == ["Inside welcome"]
        assert titles(app.switch_page("explore.py").run()) == ["Inside explore"]
        assert titles(app.switch_page("admin.py").run()) == ["Inside admin"]
    assert app.caption[0].value == "chosen Admin at /control"


def test_a_page_without_the_role_shows_the_refusal_and_does_not_run(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    with signed_in_as("bob", roles=("viewer",)):
        assert titles(app.run()) == ["Inside welcome"]
        app.switch_page("admin.py").run()
    assert not app.exception
    assert titles(app) == []
    assert shown_panel(app) == 403


def test_a_signed_out_person_is_asked_to_sign_in_at_a_page_with_roles(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    with signed_out():
        app.run()
        app.switch_page("admin.py").run()
    assert titles(app) == []
    assert shown_panel(app) == 401


def test_a_page_is_closed_at_the_next_run_after_the_role_was_removed(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    with signed_in_as("alice", roles=("admin",)):
        app.run()
        assert titles(app.switch_page("admin.py").run()) == ["Inside admin"]
    with signed_in_as("alice", roles=()):
        app.run()
    assert titles(app) == []
    assert shown_panel(app) == 403


def test_the_first_open_page_is_the_start_page(tmp_path: Path) -> None:
    app = make_app(tmp_path, welcome=", roles=('nobody',)")
    with signed_in_as("alice", roles=("analyst",)):
        assert titles(app.run()) == ["Inside explore"]
    app = make_app(tmp_path, welcome=", roles=('nobody',)")
    with signed_in_as("bob"):
        app.run()
    assert not app.exception
    assert shown_panel(app) == 403


def test_a_configured_start_page_stays_the_start_page_and_is_guarded(tmp_path: Path) -> None:
    app = make_app(tmp_path, welcome=", roles=('nobody',), default=True")
    with signed_in_as("alice", roles=("analyst",)):
        app.run()
    assert not app.exception
    assert shown_panel(app) == 403


def test_pages_can_be_grouped(tmp_path: Path) -> None:
    app = make_app(tmp_path, section="Science")
    with signed_in_as("alice", roles=("analyst",)):
        app.run()
        assert not app.exception
        assert titles(app.switch_page("explore.py").run()) == ["Inside explore"]


def test_roles_of_the_wrong_type_are_an_error_when_the_page_is_defined() -> None:
    with pytest.raises(ValueError, match="tuple"):
        Page("admin.py", roles="admin")  # type: ignore[arg-type]  # the mistake that is tested
    with pytest.raises(ValueError, match="tuple"):
        Page("admin.py", roles=("",))


def test_a_navigation_without_pages_is_an_error() -> None:
    with pytest.raises(ValueError, match="page"):
        pages([])
