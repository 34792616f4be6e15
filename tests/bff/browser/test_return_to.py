"""Return targets: a browser stays on this origin with every target that is sent."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bff.browser.return_to import MAX_RETURN_TO, is_allowed_origin_target, local_target
from tests.bff.browser_view import OPAQUE, origin_of
from tests.payloads.return_targets import OPEN_REDIRECTS, OWN_ORIGIN, SAFE_TARGETS, encoded

KIT_ORIGINS = ("https://gw.example", "http://localhost:8501/")


def target(text: str, *, fallback: str = "/fallback") -> str:
    return local_target(text, own_origin=OWN_ORIGIN, allowed=lambda path: True, fallback=fallback)


def stays(text: str) -> bool:
    """True if `text` leads to no other origin, even for a program that decodes it up to three times first."""
    for _ in range(4):
        if origin_of(text, base=OWN_ORIGIN) != OWN_ORIGIN:
            return False
        text = unquote(text.partition("?")[0])
    return True


class TestTheBrowsersView:
    """The resolver of these tests does what browsers are known to do."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("/x", OWN_ORIGIN),
            ("x//evil.com", OWN_ORIGIN),
            ("https:evil.com", OWN_ORIGIN),
            ("//evil.com", "https://evil.com"),
            ("/\\evil.com", "https://evil.com"),
            ("/\t/evil.com/x", "https://evil.com"),
            (" \n//evil.com", "https://evil.com"),
            ("http:evil.com", "http://evil.com"),
            ("https:///evil.com", "https://evil.com"),
            ("https://gw.example@evil.com", "https://evil.com"),
            ("https://evil.com\\@gw.example", "https://evil.com"),
            ("https://evil\u3002com", "https://evil.com"),
            ("java\rscript:alert(1)", OPAQUE),
        ],
    )
    def test_the_resolver_of_these_tests_finds_the_same_origin_as_browsers(self, text: str, expected: str) -> None:
        assert origin_of(text, base=OWN_ORIGIN) == expected


@pytest.mark.parametrize("number", OPEN_REDIRECTS)
def test_no_payload_in_any_encoding_leads_to_another_site(number: str) -> None:
    for payload in encoded(number):
        result = target(payload)
        assert stays(result), payload
        assert result == "/fallback" or "evil.com" not in unquote(unquote(result)).partition("?")[0], payload


@pytest.mark.parametrize("number", OPEN_REDIRECTS)
def test_every_raw_payload_gives_the_fallback_and_is_not_repeated(number: str) -> None:
    for payload in OPEN_REDIRECTS[number]:
        assert target(payload) == "/fallback", payload


@pytest.mark.parametrize("payload", SAFE_TARGETS)
def test_pages_of_this_origin_are_kept_with_their_query(payload: str) -> None:
    assert target(payload) == payload
    assert target(OWN_ORIGIN + payload) == payload


def test_the_fragment_is_dropped() -> None:
    assert target("/report?x=1#//evil.com") == "/report?x=1"
    assert target("/#x") == "/"


def test_a_target_of_the_maximal_length_is_kept_and_a_longer_one_is_not() -> None:
    longest = "/" + "a" * (MAX_RETURN_TO - 1)
    assert target(longest) == longest
    assert target(longest + "a") == "/fallback"


def test_a_target_encoded_more_than_three_times_is_refused() -> None:
    assert target("/a%252525252520b") == "/fallback"
    assert target("/a%252520b") == "/a%252520b"


@pytest.mark.parametrize("path", ["/auth/logout", "/auth%2flogout", "/%61uth/logout", "/a%75th/logout?x=1"])
def test_the_rule_for_targets_is_asked_about_the_decoded_path(path: str) -> None:
    """Otherwise an encoded letter would make the sign-out page a target."""
    asked: list[str] = []

    def is_page(decoded: str) -> bool:
        asked.append(decoded)
        return decoded != "/auth/logout"

    assert local_target(path, own_origin=OWN_ORIGIN, allowed=is_page, fallback="/") == "/"
    assert asked == ["/auth/logout"]


def test_a_target_that_is_not_allowed_gives_the_fallback() -> None:
    assert local_target("/api/x", own_origin=OWN_ORIGIN, allowed=lambda path: path != "/api/x", fallback="/home") == (
        "/home"
    )


SYNTAX = st.sampled_from(
    [*"/\\.;:@?#%&=+~ \t\r\n\0", "%2f", "%5c", "%2e", "%09", "%25", "evil.com", "gw.example", "//"]
)
TEXTS = st.lists(st.one_of(SYNTAX, st.text(max_size=3)), max_size=12).map("".join)


@settings(max_examples=400)
@given(st.one_of(TEXTS, TEXTS.map(lambda text: "/" + text), TEXTS.map(lambda text: OWN_ORIGIN + "/" + text)))
@example("/%2525252f/evil.com")
@example(OWN_ORIGIN + "//evil.com")
def test_any_text_as_target_keeps_the_browser_on_this_origin(text: str) -> None:
    result = target(text)
    assert stays(result)
    assert result.isascii()
    assert result.isprintable()


class TestOtherOrigins:
    @pytest.mark.parametrize(
        "url",
        [
            "https://gw.example",
            "https://gw.example/",
            "https://gw.example/app?x=1",
            "https://gw.example?x=1",
            "http://localhost:8501/page",
            "HTTPS://gw.example/x",
        ],
    )
    def test_an_exact_origin_may_be_returned_to(self, url: str) -> None:
        assert is_allowed_origin_target(url, KIT_ORIGINS)

    @pytest.mark.parametrize("number", OPEN_REDIRECTS)
    def test_no_payload_is_accepted_as_an_absolute_target(self, number: str) -> None:
        for payload in encoded(number):
            assert not is_allowed_origin_target(payload, KIT_ORIGINS), payload

    @pytest.mark.parametrize(
        "url",
        [
            "https://gw.example/#x",
            "https://gw.example/a//b",
            "https://gw.example/%2e%2e/x",
            "https://gw.example:443/",
            "https://GW.example/",
            "https://user@gw.example/",
            "https://gw.example:port/",
            "https://gw.example/x y",
            "https://gw.example/\\x",
            "https://gw.example?x=\\y",
            "https://gw.example?x=ü",
            "https://gw.example?x=" + "a" * MAX_RETURN_TO,
            "https://gw.example/ü",
            "http://localhost:8502/",
            "http://localhost/",
            "/local",
            "https://gw.example/" + "a" * MAX_RETURN_TO,
        ],
    )
    def test_only_an_exact_origin_with_a_plain_path_is_an_absolute_target(self, url: str) -> None:
        assert not is_allowed_origin_target(url, KIT_ORIGINS)

    @given(TEXTS)
    def test_any_accepted_absolute_target_leads_a_browser_to_an_allowed_origin(self, text: str) -> None:
        for url in (text, "https://" + text, "https://gw.example" + text):
            if is_allowed_origin_target(url, KIT_ORIGINS):
                assert origin_of(url, base="https://elsewhere.example") in (
                    "https://gw.example",
                    "http://localhost:8501",
                )
