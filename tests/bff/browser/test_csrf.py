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


def test_fetch_metadata_is_read_only_from_its_own_headers() -> None:
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


def test_a_csrf_header_that_came_twice_is_ignored() -> None:
    fetch = FetchMetadata.from_headers([(b"x-vestibule-csrf", b"1"), (b"x-vestibule-csrf", b"1")])
    with pytest.raises(Forbidden):
        check_static_header(fetch)


def test_a_csrf_header_written_with_an_underscore_is_ignored() -> None:
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
def test_only_a_top_level_document_load_is_a_navigation(mode: str, dest: str, expected: bool) -> None:
    assert FetchMetadata(mode=mode, dest=dest).is_navigation is expected


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "post", "BREW"])
class TestUnsafeMethods:
    def test_an_unsafe_request_passes_with_proof_of_the_same_origin(self, method: str) -> None:
        assert refusal(method, site="same-origin") == ""
        assert refusal(method, origin="https://apps.example.com") == ""
        assert refusal(method, origin="https://APPS.example.com", site="same-origin") == ""

    @pytest.mark.parametrize("site", SITES)
    def test_an_unsafe_request_from_another_site_is_refused(self, method: str, site: str) -> None:
        assert refusal(method, site=site) == "csrf_cross_site"
        assert refusal(method, site=site, csrf="1") == "csrf_cross_site"

    @pytest.mark.parametrize("origin", [*foreign_origins(OWN).values(), AMBIGUOUS], ids=[*FAULTS, "ambiguous"])
    def test_an_unsafe_request_with_another_origin_is_refused(self, method: str, origin: str) -> None:
        assert refusal(method, origin=origin) == "csrf_origin"
        if origin != "null":
            assert refusal(method, origin=origin, site="same-origin", csrf="1") == "csrf_origin"

    def test_an_unsafe_request_with_origin_null_passes_when_sec_fetch_site_is_same_origin(self, method: str) -> None:
        assert refusal(method, origin="null", site="same-origin") == ""

    @pytest.mark.parametrize("site", SITES)
    def test_an_unsafe_request_with_origin_null_and_another_sec_fetch_site_is_refused(
        self, method: str, site: str
    ) -> None:
        assert refusal(method, origin="null", site=site, csrf="1") == "csrf_cross_site"

    def test_an_unsafe_request_with_origin_null_alone_is_refused_even_with_the_csrf_header(self, method: str) -> None:
        assert refusal(method, origin="null", csrf="1") == "csrf_origin"

    def test_an_unsafe_request_whose_origin_has_the_default_port_of_its_scheme_passes(self, method: str) -> None:
        assert refusal(method, origin="https://apps.example.com:443") == ""
        assert refusal(method, origin="https://apps.example.com:80") == "csrf_origin"

    def test_a_referer_does_not_let_an_unsafe_request_pass(self, method: str) -> None:
        assert refusal(method, referer="https://apps.example.com/page") == "csrf_missing"

    def test_an_unsafe_request_without_browser_headers_needs_the_csrf_header(self, method: str) -> None:
        assert refusal(method) == "csrf_missing"
        assert refusal(method, csrf="0") == "csrf_missing"
        assert refusal(method, csrf="1") == ""

    def test_an_unsafe_request_from_another_site_is_refused_as_a_navigation_too(self, method: str) -> None:
        assert refusal(method, site="cross-site", mode="navigate", dest="document") == "csrf_cross_site"


class TestSafeMethods:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
    @pytest.mark.parametrize("site", ["cross-site", "same-site", AMBIGUOUS, "Cross-Site", "same-origin ", "x", "NONE"])
    def test_a_safe_request_embedded_in_another_site_is_refused(self, method: str, site: str) -> None:
        assert refusal(method, site=site, mode="no-cors", dest="image") == "csrf_cross_site"
        assert refusal(method, site=site, mode="navigate", dest="iframe") == "csrf_cross_site"

    def test_a_link_on_another_site_may_be_followed(self) -> None:
        assert refusal("GET", site="cross-site", mode="navigate", dest="document") == ""

    @pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
    def test_a_navigation_from_another_site_with_head_or_options_is_refused(self, method: str) -> None:
        assert refusal(method, site="cross-site", mode="navigate", dest="document") == "csrf_cross_site"

    @pytest.mark.parametrize("site", ["same-origin", "none"])
    def test_a_safe_request_from_the_same_origin_or_the_address_bar_passes(self, site: str) -> None:
        assert refusal("GET", site=site) == ""

    def test_a_safe_request_with_another_origin_is_refused(self) -> None:
        assert refusal("GET", origin="https://evil.example", mode="navigate", dest="document") == "csrf_origin"

    def test_a_safe_request_without_browser_headers_needs_the_csrf_header_where_reads_are_strict(self) -> None:
        assert refusal("GET") == "csrf_missing"
        assert refusal("GET", csrf="1") == ""
        assert refusal("GET", strict_reads=False) == ""

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
    @pytest.mark.parametrize("port", ["", ":443"], ids=["no-port", "own-port"])
    @pytest.mark.parametrize("rest", ["", "/", "/page?x=https://evil.example"], ids=["origin-alone", "start", "page"])
    def test_a_safe_request_with_a_referer_of_the_same_origin_passes_without_fetch_metadata(
        self, method: str, port: str, rest: str
    ) -> None:
        assert refusal(method, referer=OWN + port + rest) == ""

    @pytest.mark.parametrize(
        "referer",
        [f"{origin}/page" for fault, origin in foreign_origins(OWN).items() if fault not in ("slash behind it", "path")]
        + [AMBIGUOUS, "apps.example.com", "/page", f"https://evil.example/{OWN}/", f"https://evil.example?{OWN}/"],
    )
    def test_a_safe_request_with_a_referer_of_another_origin_needs_the_csrf_header(self, referer: str) -> None:
        assert refusal("GET", referer=referer) == "csrf_missing"
        assert refusal("GET", referer=referer, csrf="1") == ""

    def test_a_safe_request_with_a_referer_of_the_same_origin_is_refused_when_stronger_evidence_says_another_site(
        self,
    ) -> None:
        assert refusal("GET", referer=OWN + "/", site="cross-site", mode="cors") == "csrf_cross_site"
        assert refusal("GET", referer=OWN + "/", origin="https://evil.example") == "csrf_origin"

    def test_a_safe_request_with_origin_null_passes_when_sec_fetch_site_allows_reading(self) -> None:
        assert refusal("GET", origin="null", site="same-origin", mode="cors") == ""
        assert refusal("GET", origin="null", site="cross-site", mode="cors") == "csrf_cross_site"
        assert refusal("GET", origin="null") == "csrf_origin"


def test_a_referer_that_came_twice_is_ignored() -> None:
    fetch = FetchMetadata.from_headers([(b"referer", f"{OWN}/".encode())] * 2)
    with pytest.raises(Forbidden):
        check_same_origin("GET", fetch, origin=OWN, strict_reads=True)


def test_the_header_mode_needs_the_csrf_header_for_every_origin() -> None:
    with pytest.raises(Forbidden) as refused:
        check_static_header(FetchMetadata(site="same-origin", origin="https://apps.example.com"))
    assert refused.value.code == "csrf_missing"
    check_static_header(FetchMetadata(csrf="1"))
