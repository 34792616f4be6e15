"""Cross-site request forgery: who may send what with a session cookie."""

from __future__ import annotations

import pytest

from bff.browser.csrf import AMBIGUOUS, FetchMetadata, check_same_origin, check_static_header
from bff.errors import Forbidden
from tests.payloads.origins import FAULTS, FOREIGN_SITES, foreign_origins

OWN = "https://apps.example.com"
SITES = [*FOREIGN_SITES, AMBIGUOUS]


def refusal(method: str, *, strict_reads: bool = True, **fetch: str) -> str:
    """The code of the refusal, "" when the request may pass."""
    try:
        check_same_origin(method, FetchMetadata(**fetch), origin=OWN, strict_reads=strict_reads)
    except Forbidden as refused:
        return refused.code
    return ""


def test_metadata_is_read_from_its_headers_and_nothing_else() -> None:
    headers = [
        (b"sec-fetch-site", b"same-origin"),
        (b"sec-fetch-mode", b"navigate"),
        (b"sec-fetch-dest", b"document"),
        (b"origin", b"https://apps.example.com"),
        (b"x-vestibule-csrf", b"1"),
        (b"x_vestibule_csrf", b"2"),
        (b"referer", b"https://apps.example.com/page"),
        (b"accept", b"*/*"),
    ]
    fetch = FetchMetadata.from_headers(headers)
    assert fetch == FetchMetadata(
        "same-origin", "navigate", "document", "https://apps.example.com", "1", "https://apps.example.com/page"
    )


@pytest.mark.parametrize("name", [b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest", b"origin"])
def test_a_header_that_came_twice_is_ambiguous_even_with_equal_values(name: bytes) -> None:
    fetch = FetchMetadata.from_headers([(name, b"same-origin"), (name, b"same-origin")])
    assert AMBIGUOUS in (fetch.site, fetch.mode, fetch.dest, fetch.origin)


def test_a_csrf_header_that_came_twice_does_not_count() -> None:
    fetch = FetchMetadata.from_headers([(b"x-vestibule-csrf", b"1"), (b"x-vestibule-csrf", b"1")])
    with pytest.raises(Forbidden):
        check_static_header(fetch)


def test_an_underscore_spelling_of_the_csrf_header_does_not_count() -> None:
    with pytest.raises(Forbidden) as refused:
        check_static_header(FetchMetadata.from_headers([(b"x_vestibule_csrf", b"1")]))
    assert refused.value.code == "csrf_missing"


@pytest.mark.parametrize(
    ("mode", "dest", "expected"),
    [
        ("navigate", "document", True),
        ("navigate", "", True),
        ("navigate", "iframe", False),
        ("cors", "document", False),
        ("", "document", False),
    ],
)
def test_a_navigation_is_top_level(mode: str, dest: str, expected: bool) -> None:
    assert FetchMetadata(mode=mode, dest=dest).is_navigation is expected


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "post", "BREW"])
class TestUnsafeMethods:
    def test_pass_with_proof_of_the_same_origin(self, method: str) -> None:
        assert refusal(method, site="same-origin") == ""
        assert refusal(method, origin="https://apps.example.com") == ""
        assert refusal(method, origin="https://APPS.example.com", site="same-origin") == ""

    @pytest.mark.parametrize("site", SITES)
    def test_are_refused_from_anywhere_else(self, method: str, site: str) -> None:
        assert refusal(method, site=site) == "csrf_cross_site"
        assert refusal(method, site=site, csrf="1") == "csrf_cross_site"

    @pytest.mark.parametrize("origin", [*foreign_origins(OWN).values(), AMBIGUOUS], ids=[*FAULTS, "ambiguous"])
    def test_are_refused_with_another_origin(self, method: str, origin: str) -> None:
        assert refusal(method, origin=origin) == "csrf_origin"
        if origin != "null":
            assert refusal(method, origin=origin, site="same-origin", csrf="1") == "csrf_origin"

    def test_pass_with_origin_null_where_sec_fetch_site_proves_the_same_origin(self, method: str) -> None:
        assert refusal(method, origin="null", site="same-origin") == ""

    @pytest.mark.parametrize("site", SITES)
    def test_are_refused_with_origin_null_and_another_sec_fetch_site(self, method: str, site: str) -> None:
        assert refusal(method, origin="null", site=site, csrf="1") == "csrf_cross_site"

    def test_are_refused_with_origin_null_alone_even_with_the_static_header(self, method: str) -> None:
        assert refusal(method, origin="null", csrf="1") == "csrf_origin"

    def test_pass_with_the_own_port_of_the_scheme_in_the_origin(self, method: str) -> None:
        assert refusal(method, origin="https://apps.example.com:443") == ""
        assert refusal(method, origin="https://apps.example.com:80") == "csrf_origin"

    def test_are_not_proven_by_a_referer(self, method: str) -> None:
        assert refusal(method, referer="https://apps.example.com/page") == "csrf_missing"

    def test_from_a_client_that_says_nothing_need_the_header(self, method: str) -> None:
        assert refusal(method) == "csrf_missing"
        assert refusal(method, csrf="0") == "csrf_missing"
        assert refusal(method, csrf="1") == ""

    def test_as_a_navigation_are_no_exception(self, method: str) -> None:
        assert refusal(method, site="cross-site", mode="navigate", dest="document") == "csrf_cross_site"


class TestSafeMethods:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
    @pytest.mark.parametrize("site", ["cross-site", "same-site", AMBIGUOUS, "Cross-Site", "same-origin ", "x", "NONE"])
    def test_are_refused_as_embeds_of_other_sites(self, method: str, site: str) -> None:
        assert refusal(method, site=site, mode="no-cors", dest="image") == "csrf_cross_site"
        assert refusal(method, site=site, mode="navigate", dest="iframe") == "csrf_cross_site"

    def test_pass_as_a_link_from_elsewhere(self) -> None:
        assert refusal("GET", site="cross-site", mode="navigate", dest="document") == ""

    @pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
    def test_only_get_is_a_link(self, method: str) -> None:
        assert refusal(method, site="cross-site", mode="navigate", dest="document") == "csrf_cross_site"

    @pytest.mark.parametrize("site", ["same-origin", "none"])
    def test_pass_from_the_same_origin_and_from_the_address_bar(self, site: str) -> None:
        assert refusal("GET", site=site) == ""

    def test_with_another_origin_are_refused(self) -> None:
        assert refusal("GET", origin="https://evil.example", mode="navigate", dest="document") == "csrf_origin"

    def test_that_say_nothing_need_the_header_where_reads_are_strict(self) -> None:
        assert refusal("GET") == "csrf_missing"
        assert refusal("GET", csrf="1") == ""
        assert refusal("GET", strict_reads=False) == ""

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
    @pytest.mark.parametrize("port", ["", ":443"], ids=["no-port", "own-port"])
    @pytest.mark.parametrize("rest", ["", "/", "/page?x=https://evil.example"], ids=["origin-alone", "start", "page"])
    def test_with_a_referer_of_the_same_origin_pass_in_browsers_without_fetch_metadata(
        self, method: str, port: str, rest: str
    ) -> None:
        assert refusal(method, referer=OWN + port + rest) == ""

    @pytest.mark.parametrize(
        "referer",
        [f"{origin}/page" for fault, origin in foreign_origins(OWN).items() if fault not in ("slash behind it", "path")]
        + [AMBIGUOUS, "apps.example.com", "/page", f"https://evil.example/{OWN}/", f"https://evil.example?{OWN}/"],
    )
    def test_with_a_referer_of_another_origin_need_the_header(self, referer: str) -> None:
        assert refusal("GET", referer=referer) == "csrf_missing"
        assert refusal("GET", referer=referer, csrf="1") == ""

    def test_with_an_own_referer_are_still_refused_on_stronger_evidence(self) -> None:
        assert refusal("GET", referer=OWN + "/", site="cross-site", mode="cors") == "csrf_cross_site"
        assert refusal("GET", referer=OWN + "/", origin="https://evil.example") == "csrf_origin"

    def test_with_origin_null_pass_where_sec_fetch_site_lets_them_read(self) -> None:
        assert refusal("GET", origin="null", site="same-origin", mode="cors") == ""
        assert refusal("GET", origin="null", site="cross-site", mode="cors") == "csrf_cross_site"
        assert refusal("GET", origin="null") == "csrf_origin"


def test_a_referer_that_came_twice_does_not_count() -> None:
    fetch = FetchMetadata.from_headers([(b"referer", f"{OWN}/".encode())] * 2)
    with pytest.raises(Forbidden):
        check_same_origin("GET", fetch, origin=OWN, strict_reads=True)


def test_the_header_mode_wants_the_header_whatever_the_origin() -> None:
    with pytest.raises(Forbidden) as refused:
        check_static_header(FetchMetadata(site="same-origin", origin="https://apps.example.com"))
    assert refused.value.code == "csrf_missing"
    check_static_header(FetchMetadata(csrf="1"))
