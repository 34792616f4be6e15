"""Reading the forms of a page."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass(slots=True)
class Form:
    id: str
    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Submit buttons by id, with the name and value they add."""


class _FormReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.onload = ""
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "body":
            self.onload = given.get("onload", "")
        elif tag == "form":
            self.forms.append(Form(given.get("id", ""), given.get("action", ""), given.get("method", "get").upper()))
            self._inside = True
        elif self._inside:
            self._field(tag, given)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False

    def _field(self, tag: str, given: dict[str, str]) -> None:
        kind = given.get("type", "submit" if tag == "button" else "text").lower()
        pair = (given.get("name", ""), given.get("value", ""))
        if tag in ("button", "input") and kind == "submit":
            self.forms[-1].buttons[given.get("id", "")] = pair
        elif tag == "input" and pair[0] and (kind not in ("checkbox", "radio") or "checked" in given):
            self.forms[-1].fields.append(pair)


def read_forms(page: str) -> list[Form]:
    reader = _FormReader()
    reader.feed(page)
    return reader.forms


def submits_itself(page: str) -> bool:
    """True for the page of response_mode=form_post: its body's onload submits the form."""
    reader = _FormReader()
    reader.feed(page)
    return "submit()" in reader.onload and bool(reader.forms)


def choose_form(page: str, selector: str) -> tuple[Form, list[tuple[str, str]]]:
    """Find a form by ``#form-id`` or by ``#button-id``; return it with the pairs a browser would send."""
    wanted = selector.removeprefix("#")
    for form in read_forms(page):
        if wanted in form.buttons:
            button = form.buttons[wanted]
            return form, [*form.fields, *([button] if button[0] else [])]
        if form.id == wanted:
            return form, form.fields
    raise AssertionError(f"no form or button {selector} on the page")
