"""Whether the content security policy of an answer allows the session script."""

from __future__ import annotations

import pytest

from gateway.documents.script_policy import Allows, Forbids, judge_script
from gateway.headers.request import RawHeaders

HERE = "https://app.example:8443/base/auth"


def judge(*policies: str, here: str = HERE) -> Allows | Forbids:
    headers: RawHeaders = [(b"content-security-policy", policy.encode("latin-1")) for policy in policies]
    return judge_script(headers, script=here + "/guard.js", asks=here + "/session")


@pytest.mark.parametrize(
    "policies",
    [
        pytest.param((), id="none"),
        pytest.param(("frame-ancestors 'self'",), id="nothing about scripts"),
        pytest.param(("script-src 'self'",), id="self"),
        pytest.param(("SCRIPT-SRC 'SELF'",), id="upper case"),
        pytest.param(("default-src 'self'",), id="self by default"),
        pytest.param(("default-src 'none'; script-src-elem 'self'; connect-src 'self'",), id="elements"),
        pytest.param(("script-src 'none'; script-src-elem 'self'",), id="elements before scripts"),
        pytest.param(("script-src 'self'; script-src 'none'",), id="the first of two directives"),
        pytest.param(("script-src 'none' 'self'",), id="none among others"),
        pytest.param(("script-src *",), id="everything"),
        pytest.param(("script-src https:",), id="scheme"),
        pytest.param(("script-src http:",), id="scheme upgraded"),
        pytest.param(("script-src app.example:8443",), id="host"),
        pytest.param(("script-src APP.example:*",), id="any port"),
        pytest.param(("script-src https://*.example:8443",), id="subdomains"),
        pytest.param(("script-src https://app.example:8443/base/",), id="folder"),
        pytest.param(("script-src https://app.example:8443/base/auth/guard.js",), id="file"),
        pytest.param(("script-src https://app.example:8443/base/%61uth/",), id="folder escaped"),
        pytest.param(("script-src 'nonce-abc' 'self'",), id="nonce not needed"),
        pytest.param(("sandbox allow-scripts ALLOW-SAME-ORIGIN",), id="open sandbox"),
        pytest.param(("require-trusted-types-for 'script'; trusted-types none",), id="trusted types"),
        pytest.param(("script-src 'self'", "default-src https:, script-src *"), id="three policies"),
        pytest.param((" ; ,, ;",), id="empty policies"),
    ],
)
def test_a_content_security_policy_that_covers_the_script_allows_it(policies: tuple[str, ...]) -> None:
    assert judge(*policies) == Allows()


@pytest.mark.parametrize(
    ("policies", "nonce"),
    [
        pytest.param(("script-src 'nonce-abc'",), "abc", id="nonce"),
        pytest.param(("script-src 'NONCE-aBc+/_-=='",), "aBc+/_-==", id="keyword in upper case"),
        pytest.param(("script-src 'nonce-abc' 'strict-dynamic' 'self'",), "abc", id="strict-dynamic"),
        pytest.param(("script-src 'sha256-x=' 'nonce-abc'",), "abc", id="hash and nonce"),
        pytest.param(("script-src 'nonce-a' 'nonce-b'", "script-src 'nonce-b'"), "b", id="common to two headers"),
        pytest.param(("script-src 'nonce-a' 'nonce-b', script-src 'nonce-b'",), "b", id="common to two policies"),
        pytest.param(("script-src 'self'", "script-src 'nonce-a'"), "a", id="one policy needs it"),
    ],
)
def test_a_nonce_is_reused_where_every_policy_that_needs_one_has_it(policies: tuple[str, ...], nonce: str) -> None:
    assert judge(*policies) == Allows(nonce)


@pytest.mark.parametrize(
    ("policies", "by"),
    [
        pytest.param(("script-src 'none'",), "script-src 'none'", id="none"),
        pytest.param(("script-src",), "script-src", id="empty list"),
        pytest.param(("default-src 'none'",), "default-src 'none'", id="none by default"),
        pytest.param(("script-src 'self'; script-src-elem 'none'",), "script-src-elem 'none'", id="elements"),
        pytest.param(("script-src 'self', script-src 'none'",), "script-src 'none'", id="second policy"),
        pytest.param(("script-src 'self'", "script-src 'none'"), "script-src 'none'", id="second header"),
        pytest.param(
            ("script-src 'self' 'strict-dynamic'",), "script-src 'self' 'strict-dynamic'", id="strict-dynamic alone"
        ),
        pytest.param(("script-src 'sha256-abc='",), "script-src 'sha256-abc='", id="hash"),
        pytest.param(("script-src 'unsafe-inline'",), "script-src 'unsafe-inline'", id="inline only"),
        pytest.param(("script-src 'nonce-'",), "script-src 'nonce-…'", id="empty nonce"),
        pytest.param(("script-src 'nonce-a\"b'",), "script-src 'nonce-…'", id="nonce with a quote"),
        pytest.param((f"script-src 'nonce-{'a' * 257}'",), "script-src 'nonce-…'", id="endless nonce"),
        pytest.param(("script-src 'nonce-a', script-src 'nonce-b'",), "script-src 'nonce-…'", id="two nonces"),
        pytest.param(("script-src self",), "script-src self", id="self without quotes"),
        pytest.param(("script-src app.example",), "script-src app.example", id="other port"),
        pytest.param(("script-src https://other.example:8443",), "script-src https://other.example:8443", id="host"),
        pytest.param(("script-src *.app.example:8443",), "script-src *.app.example:8443", id="subdomains only"),
        pytest.param(("script-src ws:",), "script-src ws:", id="other scheme"),
        pytest.param(
            ("script-src https://app.example:8443/auth/",), "script-src https://app.example:8443/auth/", id="folder"
        ),
        pytest.param(("sandbox",), "sandbox", id="sandbox"),
        pytest.param(("sandbox allow-same-origin",), "sandbox allow-same-origin", id="sandbox without scripts"),
        pytest.param(("sandbox allow-scripts",), "sandbox allow-scripts", id="sandbox with an origin of its own"),
        pytest.param(("connect-src 'none'",), "connect-src 'none'", id="no questions"),
        pytest.param(("default-src 'none'; script-src 'self'",), "default-src 'none'", id="no questions by default"),
        pytest.param(("script-src 'self' ü; script-src 'none'",), "script-src 'none'", id="directive that is no ASCII"),
    ],
)
def test_a_script_that_a_policy_does_not_clearly_allow_is_forbidden(policies: tuple[str, ...], by: str) -> None:
    assert judge(*policies) == Forbids(by)


def test_a_host_without_a_port_means_the_default_port() -> None:
    assert judge("script-src app.example", here="https://app.example/auth") == Allows()
    assert judge("script-src app.example:443", here="https://app.example/auth") == Allows()
    assert judge("script-src app.example:80", here="http://app.example/auth") == Allows()
    assert judge("script-src https://app.example", here="http://app.example/auth") != Allows()


def test_ip_addresses_are_not_accepted_as_hosts_except_loopback() -> None:
    assert judge("script-src 127.0.0.1:80", here="http://127.0.0.1/auth") == Allows()
    assert judge("script-src 192.0.2.1:80", here="http://192.0.2.1/auth") != Allows()


def test_a_report_only_policy_forbids_nothing() -> None:
    headers = [(b"content-security-policy-report-only", b"script-src 'none'")]
    assert judge_script(headers, script=HERE + "/guard.js", asks=HERE + "/session") == Allows()


@pytest.mark.parametrize(
    "value", [b"blocked-destinations=(script)", b"sources=(inline), blocked-destinations=(script style)"]
)
def test_an_integrity_policy_for_scripts_forbids_a_script_without_a_digest(value: bytes) -> None:
    headers = [(b"integrity-policy", value)]
    verdict = judge_script(headers, script=HERE + "/guard.js", asks=HERE + "/session")
    assert verdict == Forbids("integrity-policy")


def test_the_forbidding_policy_is_shortened_for_the_log() -> None:
    verdict = judge("script-src " + " ".join(f"https://{number}.example" for number in range(100)))
    assert isinstance(verdict, Forbids)
    assert len(verdict.by) == 200
