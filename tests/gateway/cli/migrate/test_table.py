"""The table of options is complete, each option ends in exactly one list, and what it becomes passes the check."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.cli.migrate.assembling import build_tables, build_toml
from gateway.cli.migrate.options import LIST_OF, Option
from gateway.cli.migrate.sources import read_sources
from gateway.cli.migrate.table import BY_FIELD, BY_FLAG, BY_KEY, OPTIONS, page_tables
from gateway.cli.migrate.translation import Translation, translate
from gateway.cli.migrate.writing import check_before
from gateway.faults import UsageFault
from tests.gateway.cli.migrate.old_configurations import COMPLETE, SECRET, translated
from tests.repository import ROOT

HERE = Path(__file__).parent
PAGE = ROOT / "docs" / "coming-from-oauth2-proxy.md"
SAMPLES: dict[str, list[Any]] = {
    "client_secret": [SECRET],
    "provider": ["oidc", "keycloak-oidc", "gitlab", "adfs", "cidaas"],
    "oidc_issuer_url": ["https://idp.example.com/", "https://dex.example.com/dex"],
    "redirect_url": ["https://apps.example.com/oauth2/callback", "https://apps.example.com/sso/done"],
    "http_address": ["0.0.0.0:4180", ":8080", "unix:///run/proxy.sock", "fd:3", "http://[::1]:4180"],
    "https_address": [":443"],
    "metrics_address": [":9100", "", "127.0.0.1:9100"],
    "cookie_expire": ["168h0m0s", "30s", "0", "10m"],
    "session_store_type": ["cookie"],
    "email_domains": [["*"], ["example.com", ".example.org"], ["*.example.com"], "example.com,example.org"],
    "upstreams": [
        ["http://127.0.0.1:8080/", "http://10.0.0.2:80/api"],
        ["https://app.internal"],
        ["unix:///run/a.sock"],
    ],
    "skip_auth_routes": [["^/health$"], ["GET=^/a/", "POST=^/a/"], ["!=^/private"], [".*"], ["^/"]],
    "skip_auth_regex": [["^/health$", "/static"]],
    "trusted_proxy_ips": [["10.0.0.0/8"], ["0.0.0.0/0", "::/0"]],
    "whitelist_domains": [[".example.com"], ["b.example.com"], ["b.example.com:8443"], ["b.example.com:*"]],
    "login_url": ["https://idp.example.com/authorize", "https://login.example.com/a", "http://keycloak:8080/x"],
    "prompt": ["login"],
    "scope": ["openid email", "email"],
    "oidc_enabled_signing_algs": [["ES256", "RS256"], ["HS256"]],
    "auth_request_response_mode": ["query", "form_post", "fragment"],
    "code_challenge_method": ["S256", "plain"],
    "force_code_challenge_method": ["S256", "plain"],
    "cookie_samesite": ["lax", "strict", "none", ""],
    "jwt_key": ["not a key"],
    "standard_logging": [True, False],
    "extra_jwt_issuers": [["https://other.example.com=api"]],
}
NEEDS: dict[str, dict[str, Any]] = {
    "tls_cert_file": {"tls_key_file": "key.pem"},
    "tls_key_file": {"tls_cert_file": "cert.pem"},
}
FILES = ("authenticated_emails_file", "client_secret_file")
USUAL: dict[str, list[Any]] = {
    "flag": [True, False, "true", "0"],
    "text": ["sample"],
    "list": [["sample"]],
    "duration": ["90s"],
    "number": [3],
}


def listed(name: str) -> list[list[str]]:
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


def documented() -> dict[str, str]:
    """Flag → key, as the documentation has them."""
    return {flag: key[0] if key else flag.replace("-", "_") for flag, *key in listed("documented_options.txt")}


def test_every_documented_option_is_in_the_table_by_its_flag_and_by_its_key() -> None:
    assert len(documented()) > 140
    for flag, key in documented().items():
        assert flag in BY_FLAG
        assert BY_KEY[key] is BY_FLAG[flag], flag


def test_the_table_has_no_option_that_is_not_documented() -> None:
    assert {option.flag for option in OPTIONS if option.flag} == documented().keys()


def test_every_documented_field_of_the_alpha_configuration_is_in_the_table() -> None:
    older = {"upstreams"}
    assert set(BY_FIELD) - older == {field for (field,) in listed("documented_fields.txt")}


def test_no_two_options_share_a_name() -> None:
    names = [option.name for option in OPTIONS]
    assert len(names) == len(set(names))


def values() -> Iterator[tuple[Option, Any]]:
    for option in OPTIONS:
        if option.flag and option.name not in FILES:
            yield from ((option, value) for value in SAMPLES.get(option.name, USUAL[option.kind]))


def assert_passes_the_check(translation: Translation) -> None:
    secrets = {"keys": "k" * 8 + "0123456789abcdefghijklmnopqrstuv", "admin-token": "0123456789abcdefABCDEF"}
    text = build_toml(translation.draft, build_tables(translation.draft))
    check_before(text, {**secrets, **translation.draft.secrets})


@pytest.mark.parametrize(
    ("option", "value"), [pytest.param(*case, id=f"{case[0].name} = {str(case[1])[:40]}") for case in values()]
)
def test_each_option_ends_in_exactly_one_list_and_the_result_passes_the_check(
    option: Option, value: Any, tmp_path: Path
) -> None:
    more = NEEDS.get(option.name, {})
    translation = translated(tmp_path, **{**more, option.config_key: value})
    names = [line.name for line in translation.lines]
    assert sorted(names) == sorted({*COMPLETE, *more, option.name})
    assert all(line.outcome.says for line in translation.lines)
    assert not translation.unknown
    assert_passes_the_check(translation)


@pytest.mark.parametrize(
    "option", [one for one in OPTIONS if one.flag and one.name not in FILES], ids=lambda one: one.flag
)
def test_each_option_is_read_from_a_flag_and_from_a_variable_as_from_the_file(option: Option, tmp_path: Path) -> None:
    value = SAMPLES.get(option.name, USUAL[option.kind])[0]
    text = ",".join(value) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else str(value)
    in_file = translated(tmp_path, **{option.config_key: value})
    base = {key: one for key, one in COMPLETE.items() if key != option.config_key}
    flags = [f"--{BY_KEY[key].flag}={','.join(one) if isinstance(one, list) else one}" for key, one in base.items()]
    command = tmp_path / "command"
    command.write_text("\n".join([*flags, f"--{option.flag}='{text}'"]))
    by_flag = translate(read_sources([command], environ={}, with_environ=False), folder=tmp_path)
    variables = {BY_KEY[key].variable: ",".join(one) if isinstance(one, list) else one for key, one in base.items()}
    variables[option.variable] = text
    by_variable = translate(read_sources([], environ=variables, with_environ=True), folder=tmp_path)
    assert by_flag.lines == in_file.lines
    assert by_variable.lines == in_file.lines
    assert build_tables(by_flag.draft) == build_tables(in_file.draft) == build_tables(by_variable.draft)


def rows_on_the_page() -> list[str]:
    return [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]


def test_the_page_has_the_row_of_each_option_and_no_other() -> None:
    rows = [line for table in page_tables() for line in table.splitlines() if line.startswith("| `")]
    lists = tuple(LIST_OF.values())
    on_page = [line for line in rows_on_the_page() if line.split(" | ")[1] in lists]
    assert on_page == rows, "make the tables anew: python -m tests.gateway.cli.migrate.page"


CASES = list(values())


@given(chosen=st.lists(st.sampled_from(range(len(CASES))), min_size=2, max_size=12))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_options_together_end_in_one_list_each_and_pass_the_check_or_are_refused(
    chosen: list[int], tmp_path: Path
) -> None:
    options = {CASES[number][0].config_key: CASES[number][1] for number in chosen}
    keys = {BY_KEY[key].name for key in options} | COMPLETE.keys()
    try:
        translation = translated(tmp_path, **options)
    except UsageFault:
        return  # such as a listener without its key
    assert sorted(line.name for line in translation.lines) == sorted(keys)
    if not {"tls_cert_file", "tls_key_file"} & keys:
        assert_passes_the_check(translation)
