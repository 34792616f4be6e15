"""The provider's pages: sign in, sign out, who is signed in, and why something was refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from xml.etree.ElementTree import Element

from bff.testing.provider.client import Client
from bff.testing.provider.markup import button, node, render
from bff.testing.provider.messages import Refused, Reply, Request
from bff.testing.provider.people import FieldFault, Person, Typed
from bff.testing.provider.sessions import Session

SOMEBODY_ELSE = (
    ("name", "Name", "Any name, in any script. One from the list keeps its roles unless you enter others."),
    ("roles", "Roles", "Separated by commas or semicolons, as in: analyst, admin"),
    ("groups", "Groups", "Separated by commas or semicolons."),
    ("claims", "Further claims", 'A JSON object, as in: {"department": "physics"}'),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The sign-in page. `here` is the person signed in in this browser; `hint` is whom the client expects."""

    client: str
    people: Sequence[Person]
    here: str
    hint: str
    action: str

    def page(self, *, typed: Typed | None = None, fault: FieldFault | None = None) -> Reply:
        """Return the page: a choice of people, and a form for somebody else. The form is open if it was just used."""
        expected = next((person for person in self.people if person.is_called(self.hint)), None)
        if typed is None:
            typed = Typed(name="" if expected else self.hint)
        intro = node(
            "p",
            "For ",
            node("strong", self.client),
            ". This provider is for development: it asks nobody for a password. Choose who you are.",
        )
        choice = node("ul", *(self._choice(person, is_expected=person is expected) for person in self.people))
        choice.set("class", "people")
        deny = button("Cancel", id="cancel", name="action", value="deny")
        return render(
            "Sign in",
            intro,
            self._form(choice),
            self._somebody_else(typed, fault),
            self._form(node("div", deny, class_="actions")),
            status=400 if fault else 200,
        )

    def _choice(self, person: Person, *, is_expected: bool) -> Element:
        facts = [person.sub]
        if person.roles:  # they may be in another claim, so their absence says nothing
            facts.append(", ".join(person.roles))
        if person.sub == self.here:
            facts.append("signed in now")
        kind = "person main" if is_expected else "person"
        chosen = button(person.name, kind=kind, id=f"person-{person.sub}", name="sub", value=person.sub)
        if is_expected:
            chosen.set("autofocus", "")
        chosen.append(node("span", " · ".join(facts)))
        return node("li", chosen)

    def _somebody_else(self, typed: Typed, fault: FieldFault | None) -> Element:
        fields: list[Element] = []
        for name, label, hint in SOMEBODY_ELSE:
            wrong = str(fault) if fault and fault.field == name else ""
            fields += _field(name, label, hint, value=getattr(typed, name), fault=wrong)
        submit = node("div", button("Sign in as this person", kind="main", id="somebody-else"), class_="actions")
        details = node("details", node("summary", "Somebody else"), self._form(*fields, submit))
        if fault or typed.name or not self.people:
            details.set("open", "")
        return details

    def _form(self, *content: Element) -> Element:
        return node("form", *content, method="post", action=self.action)


def _field(name: str, label: str, hint: str, *, value: str, fault: str) -> list[Element]:
    about = {"id": name, "name": name, "aria-describedby": f"{name}-hint", "autocomplete": "off"}
    if fault:
        about |= {"aria-invalid": "true", "autofocus": ""}
    if name == "name":
        about |= {"required": "", "maxlength": "100"}
    if name == "claims":
        entry = node("textarea", value, **about | {"rows": "3", "spellcheck": "false"})
    else:
        entry = node("input", **about | {"type": "text", "value": value})
    below = node("p", fault or hint, id=f"{name}-hint", class_="hint fault" if fault else "hint")
    if fault:
        below.set("role", "alert")
    return [node("label", label, for_=name), entry, below]


def sign_out_question(name: str, *, action: str) -> Reply:
    """Return the question that is asked if no ID token shows which session is meant."""
    actions = node(
        "div",
        button("Sign out", kind="main", id="sign-out"),
        node("a", "Stay signed in", class_="button", href="/"),
        class_="actions",
    )
    return render(
        "Sign out?",
        node("p", f"You are signed in at this provider as {name}. Every application that you opened with it is told."),
        node("form", actions, method="post", action=action),
    )


def signed_out_page(*, headers: tuple[tuple[str, str], ...]) -> Reply:
    text = "Nobody is signed in at this provider in this browser now."
    return render("You are signed out", node("p", text), headers=headers)


def refusal_page(refused: Refused) -> Reply:
    return render(
        "This cannot be done",
        node("p", str(refused)),
        node("p", node("code", refused.error), class_="small"),
        status=refused.status,
        mark="warn",
    )


def not_here_page(client: Client, *, issuer: str, request: Request) -> Reply:
    """Return the page for somebody who opened the provider's address instead of the application's."""
    query = f"?{request.raw_query}" if request.raw_query else ""
    address = f"{client.uri}{request.path}{query}"
    return render(
        "This is the sign-in provider",
        node("p", f"Nothing is here. {issuer} is the provider for development. You may be looking for {client.name}:"),
        node("p", node("a", address, href=address)),
        status=404,
    )


def sessions_page(
    sessions: Sequence[Session],
    *,
    people: dict[str, Person],
    here: str,
    issuer: str,
    client: Client,
    notice: str = "",
) -> Reply:
    """Return the page of all sessions, each with a button to end it, as a real provider's operator can."""
    said = [node("p", notice, class_="notice", role="status")] if notice else []
    if client.uri:
        link = node("a", client.uri, href=f"{client.uri}/", id="application")
        said.insert(0, node("p", f"This is the sign-in provider. {client.name} is at ", link, "."))
    intro = "When you end a session here, the provider tells the application. This is back-channel logout."
    if sessions:
        shown = [_session_row(one, people=people, here=here) for one in reversed(sessions)]
        content = [node("p", intro), _table(shown)]
    else:
        content = [node("p", f"Nobody is signed in at this provider. {intro}")]
    discovery = f"{issuer}/.well-known/openid-configuration"
    link = node("a", "discovery document", href=discovery)
    about = node("p", "This provider is for development. Programs read its ", link, ".", class_="small")
    return render("Sessions at this provider", *said, *content, about, width="wide")


def _table(rows: Sequence[Element]) -> Element:
    """Return the sessions like the account page does: a table if there is room, else one block per session."""
    heads = [node("th", text, scope="col", role="columnheader") for text in ("Person", "Signed in", "Where")]
    heads.append(node("th", node("span", "End it", class_="unseen"), scope="col", role="columnheader"))
    head = node("thead", node("tr", *heads, role="row"), role="rowgroup")
    return node("table", head, node("tbody", *rows, role="rowgroup"), class_="stacked", role="table")


def _session_row(session: Session, *, people: dict[str, Person], here: str) -> Element:
    name = people[session.sub].name if session.sub in people else session.sub
    since = f"{datetime.fromtimestamp(session.auth_time):%Y-%m-%d %H:%M:%S}"
    where = "this browser" if session.sid == here else "another browser"
    end = button("End this session", name="sid", value=session.sid, aria_label=f"End this session: {name}, {where}")
    cells = [("Person", name), ("Signed in", since), ("Where", where)]
    return node(
        "tr",
        *(node("td", text, role="cell", data_label=label) for label, text in cells),
        node("td", node("form", end, method="post", action="/sessions/end"), role="cell"),
        role="row",
    )
