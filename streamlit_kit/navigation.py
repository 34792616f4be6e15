"""Navigation that shows each person the pages they may open, and refuses the others.

In the main script:

    pages([
        Page("views/explore.py", title="Explore", icon=":material/insights:"),
        Page("views/admin.py", title="Admin", roles=("admin",)),
    ]).run()

Use any folder except `pages`: Streamlit itself offers every page there, without these guards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bff.contract import Identity
from streamlit_kit.guards import current_user_or_stop, require_role

if TYPE_CHECKING:
    import streamlit as st


@dataclass(frozen=True, slots=True)
class Page:
    """One page: `path` is a file below the main script or a function. Empty `roles` means everybody.

    `url_path` and `default` are those of `st.Page`; `section` groups pages in the menu.
    """

    path: str | Path | Callable[[], None]
    title: str = ""
    icon: str = ""
    roles: tuple[str, ...] = ()
    url_path: str = ""
    default: bool = False
    section: str = ""

    def __post_init__(self) -> None:
        # `roles="admin"`, with the comma forgotten, would mean one role per letter, which nobody has.
        roles: object = self.roles
        if not isinstance(roles, tuple) or not all(roles):
            raise ValueError("roles is a tuple of names")

    def is_open_to(self, identity: Identity | None) -> bool:
        return not self.roles or (identity is not None and identity.has_role(*self.roles))


@dataclass(frozen=True, slots=True)
class ChosenPage:
    """The page that the address names. Only `run()` runs it, and only for people who may see it."""

    page: Page
    _target: st.Page

    @property
    def title(self) -> str:
        return self._target.title

    @property
    def icon(self) -> str:
        return self._target.icon

    @property
    def url_path(self) -> str:
        return self._target.url_path

    def run(self) -> None:
        """Run the page, or show why not (`require_role`) and stop."""
        if self.page.roles:
            require_role(*self.page.roles)
        self._target.run()


def pages(
    entries: Sequence[Page],
    *,
    position: Literal["sidebar", "top", "hidden"] = "sidebar",
    expanded: bool | int = False,
) -> ChosenPage:
    """Set up the menu for the person on the page, and return the page that the address names.

    A page that the person has no role for is not in the menu, but its address shows a panel that says what is missing.
    If no page is `default`, the first one that the person may open is.

    Raises: ValueError without a page; what `require_login` and `st.navigation` raise.
    """
    import streamlit as st

    if not entries:
        raise ValueError("give at least one page")
    identity = current_user_or_stop()
    default = _choose_default(entries, identity)
    targets = [
        _build_target(entry, is_default=entry is default, is_open=entry.is_open_to(identity)) for entry in entries
    ]
    sections: dict[str, list[st.Page]] = {}
    for entry, target in zip(entries, targets, strict=True):
        sections.setdefault(entry.section, []).append(target)
    has_sections = set(sections) != {""}
    chosen = st.navigation(sections if has_sections else targets, position=position, expanded=expanded)
    entry = next(entry for entry, target in zip(entries, targets, strict=True) if target is chosen)
    return ChosenPage(page=entry, _target=chosen)


def _choose_default(entries: Sequence[Page], identity: Identity | None) -> Page:
    named = [entry for entry in entries if entry.default]
    return next(iter([*named, *(entry for entry in entries if entry.is_open_to(identity)), *entries]))


def _build_target(entry: Page, *, is_default: bool, is_open: bool) -> st.Page:
    import streamlit as st

    return st.Page(
        entry.path,
        title=entry.title or None,
        icon=entry.icon or None,
        url_path=entry.url_path or None,
        default=is_default,
        visibility="visible" if is_open else "hidden",
    )
