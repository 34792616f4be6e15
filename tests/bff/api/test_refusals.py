"""An API's log says why a token was refused, what was expected and what was found. No sender can forge a line."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from bff.api.refusals import describe_refusal, log_refusal
from bff.api.tokens import BearerRules
from bff.errors import InvalidToken
from tests.bff.factories import jwt_of, signing_key

LOCAL = "http://localhost:8000/"


def rules(issuer: str = LOCAL) -> BearerRules:
    return BearerRules(issuer, "reports", algorithms=("ES256",), leeway=0)


def token(**claims: Any) -> str:
    return jwt_of({"iss": "http://localhost:8000", "aud": "other"} | claims, key=signing_key())


def logged(caplog: pytest.LogCaptureFixture, given: str, code: str) -> str:
    with caplog.at_level(logging.WARNING, logger="vestibule.api"):
        log_refusal(given, InvalidToken(code, detail="issuer of another"), rules())
    return caplog.messages[-1]


def test_the_log_has_the_rule_and_both_issuers_and_audiences_without_the_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    given = token()
    line = logged(caplog, given, "bearer_iss")
    assert line == (
        "token refused: bearer_iss (issuer of another); issuer: expected http://localhost:8000/, "
        "found http://localhost:8000; audience: expected reports, found other"
    )
    assert given.split(".")[2] not in line


@pytest.mark.parametrize("given", ["", "a.b.c", "no-token", "a." + "x" * 70_000 + ".c", "..."])
def test_a_text_that_is_not_a_token_is_logged_as_refused(caplog: pytest.LogCaptureFixture, given: str) -> None:
    assert "found none; audience: expected reports, found none" in logged(caplog, given, "bearer_malformed")


@pytest.mark.parametrize("evil", ["x\nINFO: all is well", "\x1b[31m", "\u202e", "x" * 5000])
def test_a_claim_in_a_refusal_is_shown_on_one_short_printable_line(caplog: pytest.LogCaptureFixture, evil: str) -> None:
    line = logged(caplog, token(iss=evil), "bearer_iss")
    assert line.isprintable()
    assert line.isascii()
    assert len(line) < 600


def test_a_caller_on_the_same_machine_gets_expected_and_found_values() -> None:
    said = describe_refusal(token(), InvalidToken("bearer_iss"), rules())
    assert said == "bearer_iss: the issuer is http://localhost:8000, expected is http://localhost:8000/"
    said = describe_refusal(token(aud=["a", "b"]), InvalidToken("bearer_aud"), rules())
    assert said == 'bearer_aud: the audience is ["a", "b"], expected is reports'


@pytest.mark.parametrize(
    "issuer", ["https://idp.example.com", "http://idp.example.com", "https://localhost", "http://[x"]
)
def test_a_caller_on_another_machine_gets_only_the_error_code(issuer: str) -> None:
    assert describe_refusal(token(), InvalidToken("bearer_iss"), rules(issuer)) == "bearer_iss"


def test_refusals_by_other_rules_have_only_their_error_code() -> None:
    assert describe_refusal(token(), InvalidToken("bearer_exp"), rules()) == "bearer_exp"
