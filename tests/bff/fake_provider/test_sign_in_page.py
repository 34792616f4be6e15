"""The sign-in page: who is on it, how it reads what people type, and that it loads nothing from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import httpx
import pytest

from bff.testing import FakeProvider, Person
from bff.web.pages import render_page
from tests.bff.fake_provider.relying_party import RelyingParty, claims_of, sent_back


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)


def type_in(party: RelyingParty, page: httpx.Response, **fields: str) -> httpx.Response:
    return party.browser.submit(page, "#somebody-else", fields=fields)


def test_the_people_are_listed_with_their_roles(party: RelyingParty, provider: FakeProvider) -> None:
    provider.add_person("carol")
    page = party.ask().text
    for words in ("alice · analyst, admin", "bob · viewer"):
        assert words in page
    assert 'lang="en"' in page
    assert "autofocus" not in page


@pytest.mark.parametrize("hint", ["bob", "bob@example.com"])
def test_a_login_hint_marks_the_persons_button(party: RelyingParty, hint: str) -> None:
    page = party.ask(login_hint=hint).text
    [button] = re.findall(r"<button[^>]*autofocus[^>]*>", page)
    assert 'value="bob"' in button
    assert "person main" in button
    assert "<details open" not in page


def test_a_login_hint_of_an_unknown_person_is_filled_into_the_form(party: RelyingParty) -> None:
    page = party.ask(login_hint="dora@example.org")
    assert "<details open" in page.text
    tokens = party.exchange(party.browser.submit(page, "#somebody-else")).json()
    claims = claims_of(tokens["id_token"])
    assert (claims["sub"], claims["email"], claims["name"]) == ("dora@example.org", "dora@example.org", "Dora")


@pytest.mark.parametrize(
    ("name", "sub"),
    [
        ("Ada.Lovelace", "Ada.Lovelace"),
        ("Zoë Müller", "zoe-muller"),
        ("  Anna   Schmidt ", "anna-schmidt"),
        ("Björn Weiß", "bjorn-weiss"),
        ("Łukasz", "ukasz-c57b4f3a"),
        ("山田太郎", "6b0e1c8c"),
        ("O'Brien", "o-brien"),
        ("<b>", "b"),
    ],
)
def test_any_name_can_sign_in_and_gets_a_plain_ascii_sub(party: RelyingParty, name: str, sub: str) -> None:
    tokens = party.exchange(type_in(party, party.ask(), name=name)).json()
    claims = claims_of(tokens["id_token"])
    assert claims["sub"] == sub
    assert claims["email"] == f"{sub}@example.com"
    assert claims["name"] == ("Ada Lovelace" if name == "Ada.Lovelace" else " ".join(name.split()))
    assert party.userinfo(tokens["access_token"]).json()["name"] == claims["name"]


def test_roles_groups_and_other_claims_are_in_every_token(party: RelyingParty) -> None:
    typed = {"name": "Eve", "roles": "analyst, Data Steward,analyst,", "groups": "science"}
    typed["claims"] = '{"department": "physics", "realm_access": {"roles": ["x"]}}'
    tokens = party.exchange(type_in(party, party.ask(), **typed)).json()
    for claims in (
        claims_of(tokens["id_token"]),
        claims_of(tokens["access_token"]),
        party.userinfo(tokens["access_token"]).json(),
    ):
        assert (claims["roles"], claims["groups"]) == (["analyst", "Data Steward"], ["science"])
        assert (claims["department"], claims["realm_access"]) == ("physics", {"roles": ["x"]})


def test_a_person_who_was_typed_in_is_on_the_list_the_next_time(party: RelyingParty, other_party: RelyingParty) -> None:
    type_in(party, party.ask(), name="Zoë Müller", roles="analyst")
    assert "zoe-muller · analyst" in other_party.ask().text


def test_a_person_from_the_list_keeps_their_roles_unless_others_are_entered(party: RelyingParty) -> None:
    kept = party.exchange(type_in(party, party.ask(), name="alice")).json()
    assert claims_of(kept["id_token"])["roles"] == ["analyst", "admin"]
    changed = party.exchange(type_in(party, party.ask(prompt="login"), name="alice", roles="viewer")).json()
    assert claims_of(changed["id_token"])["roles"] == ["viewer"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": " "}, "Enter a name"),
        ({"name": "x" * 101}, "at most 100 characters"),
        ({"name": "a\u202eb"}, "Enter a name"),
        ({"roles": "x" * 101}, "at most 50 roles"),
        ({"groups": ",".join(map(str, range(51)))}, "at most 50 groups"),
        ({"claims": "{broken"}, "not a JSON object"),
        ({"claims": "[1]"}, "not a JSON object"),
        ({"claims": '{"a": 1, "a": 2}'}, "not a JSON object"),
        ({"claims": '{"a": NaN}'}, "not a JSON object"),
        ({"claims": "[" * 5000}, "not a JSON object"),
        ({"claims": '{"sub": "root", "exp": 1}'}, "sets these claims itself: exp, sub"),
    ],
    ids=[
        "no name",
        "a long name",
        "a name that turns the line round",
        "a long role",
        "many groups",
        "broken JSON",
        "a list",
        "a claim twice",
        "NaN",
        "deep JSON",
        "claims of the provider",
    ],
)
def test_a_wrong_field_is_named_and_the_other_fields_are_kept(
    party: RelyingParty, provider: FakeProvider, fields: dict[str, str], words: str
) -> None:
    page = type_in(party, party.ask(), **({"name": "Eve", "roles": "analyst"} | fields))
    assert page.status_code == 400
    assert words in page.text
    assert "<details open" in page.text
    assert page.text.count('aria-invalid="true"') == page.text.count('role="alert"') == 1
    if "roles" not in fields:
        assert 'value="analyst"' in page.text
    assert provider.sessions.all() == []
    assert provider.people.keys() == {"alice", "bob"}
    assert "code" in sent_back(type_in(party, page, name="Eve", roles="", groups="", claims=""))


def test_typed_and_configured_text_is_escaped(party: RelyingParty, provider: FakeProvider) -> None:
    attack = '"><script>alert(1)</script>'
    provider.client.name = attack
    provider.people["eve"] = Person("eve", attack, attack, [attack])
    page = type_in(party, party.ask(login_hint=attack, state=attack), name=attack * 5, roles=attack, claims=attack)
    reader = _Tags()
    reader.feed(page.text)
    assert "script" not in reader.tags
    assert reader.tags.count("button") == 5
    assert page.text.count("&lt;script&gt;") >= 4


def test_every_page_brings_its_own_style_and_runs_no_script(party: RelyingParty, provider: FakeProvider) -> None:
    """No script, and only addresses of the provider itself: the page is complete without a network."""
    desk = party.ask()
    party.sign_in()
    pages = [desk, party.browser.get(provider.issuer + "/"), party.browser.get(provider.issuer + "/logout")]
    pages.append(party.browser.get(provider.issuer + "/nowhere"))
    for page in pages:
        nonce = re.search(r'<style nonce="([\w-]+)">', page.text)
        assert nonce
        policy = page.headers["content-security-policy"]
        assert policy.startswith(f"default-src 'none'; style-src 'nonce-{nonce[1]}'")
        assert "frame-ancestors 'none'" in policy
        assert "script" not in policy
        assert "url(" not in page.text
        assert "@import" not in page.text
        links = re.findall(r'(?:src|href|action)="([^"]*)"', page.text)
        assert all(link.startswith(("/", provider.issuer + "/")) for link in links)
        assert page.headers["cache-control"] == "no-store"


def test_the_pages_have_the_same_style_as_the_front_door(party: RelyingParty) -> None:
    ours = render_page("sign_in.html", choices=[]).body.decode()
    style = re.search(r"<style[^>]*>(.*?)</style>", ours, re.DOTALL)
    assert style
    assert style[1].strip() in party.ask().text


def test_every_field_has_a_label_and_a_hint(party: RelyingParty) -> None:
    page = party.ask().text
    fields = re.findall(r'<(?:input|textarea)[^>]* ?id="(\w+)"', page)
    assert fields == ["name", "roles", "groups", "claims"]
    for field in fields:
        assert f'<label for="{field}">' in page
        assert f'aria-describedby="{field}-hint"' in page
        assert f'id="{field}-hint"' in page
