"""ID tokens with one claim that breaks a rule of Core 3.1.3.7, and the code that says which rule.

For the pure validation and for a whole sign-in at a running front door. Grow the lists with every new class.
"""

from __future__ import annotations

from typing import Any

from tests.fakes import OMIT

Claims = dict[str, Any]
NO_NUMBERS: dict[str, Any] = {
    "missing": OMIT,
    "null": None,
    "text": "9999999999",
    "true": True,
    "false": False,
    "1e300": 1e300,
    "a number of 400 digits": 10**400,
    "2**63": 2**63,
    "negative": -1,
    "list": [],
    "object": {},
}
NO_SUBJECTS: dict[str, Any] = {
    "missing": OMIT,
    "null": None,
    "empty": "",
    "number": 5,
    "true": True,
    "list": [],
    "name in a list": ["alice"],
    "line break": "a\r\nb",
    "NUL": "a\x00",
    "DEL": "a\x7f",
    "umlaut": "ülrike",
    "Cyrillic a": "\u0430",
    "half a surrogate pair": "\ud800",
    "256 characters": "x" * 256,
    "10 KB": "x" * 10_240,
}
NO_SESSION_IDS: dict[str, Any] = {
    "number": 5,
    "list": ["sid-1"],
    "line break": "a\nb",
    "256 characters": "x" * 256,
}


def broken_claims(*, issuer: str, client_id: str, nonce: str, now: float) -> dict[str, tuple[str, Claims]]:
    """By a name of the fault: the code of the refusal, and the claims that cause it."""
    found: dict[str, tuple[str, Claims]] = {}
    for fault, iss in _issuers(issuer).items():
        found[f"iss: {fault}"] = ("id_token_iss", {"iss": iss})
    for fault, changes in _audiences(client_id).items():
        found[f"aud: {fault}"] = ("id_token_aud", changes)
    for fault, azp in {"another client": "other", "list": [client_id], "number": 5}.items():
        found[f"azp: {fault}"] = ("id_token_azp", {"azp": azp})
    for claim in ("exp", "iat"):
        for fault, value in NO_NUMBERS.items():
            found[f"{claim}: {fault}"] = (f"id_token_{claim}", {claim: value})
    for claim, fault, seconds in (
        ("exp", "over for more than a minute", -61),
        ("iat", "more than a minute ahead", 65),
        ("iat", "long before the sign-in", -3600),
        ("nbf", "more than a minute ahead", 65),
    ):
        found[f"{claim}: {fault}"] = (f"id_token_{claim}", {claim: now + seconds})
    for fault, value in _nonces(nonce).items():
        found[f"nonce: {fault}"] = ("id_token_nonce", {"nonce": value})
    for fault, sub in NO_SUBJECTS.items():
        found[f"sub: {fault}"] = ("id_token_sub", {"sub": sub})
    for fault, sid in NO_SESSION_IDS.items():
        found[f"sid: {fault}"] = ("id_token_sid", {"sid": sid})
    return found


def _issuers(issuer: str) -> dict[str, Any]:
    return {
        "slash behind it": issuer + "/",
        "other case": issuer.upper(),
        "one character less": issuer[:-1],
        "one character more": issuer + "0",
        "sub-domain": issuer + ".evil.example",
        "space before it": " " + issuer,
        "another": "https://evil.example",
        "list": [issuer],
        "list of two": [issuer, "https://evil.example"],
        "object": {issuer: 1},
        "null": None,
        "empty": "",
        "missing": OMIT,
    }


def _audiences(client_id: str) -> dict[str, Claims]:
    return {
        "another client": {"aud": "other"},
        "another client, our azp": {"aud": "other", "azp": client_id},
        "two other clients": {"aud": ["a", "b"]},
        "two other clients, our azp": {"aud": ["a", "b"], "azp": client_id},
        "ours and an unlisted one": {"aud": [client_id, "evil"]},
        "ours twice": {"aud": [client_id, client_id]},
        "two in one text": {"aud": f"{client_id} evil"},
        "one character less": {"aud": client_id[:-1]},
        "one character more": {"aud": client_id + "2"},
        "other case": {"aud": client_id.upper()},
        "missing": {"aud": OMIT},
        "missing, our azp": {"aud": OMIT, "azp": client_id},
        "null": {"aud": None},
        "empty list": {"aud": []},
        "list in a list": {"aud": [[client_id]]},
        "object": {"aud": {client_id: 1}},
    }


def _nonces(nonce: str) -> dict[str, Any]:
    return {
        "another": "x" * 43,
        "one character less": nonce[:-1],
        "one character more": nonce + "x",
        "space behind it": nonce + " ",
        "list": [nonce],
        "empty list": [],
        "object": {},
        "number": 5,
        "null": None,
        "empty": "",
        "missing": OMIT,
        "umlaut": "ü",
        "half a surrogate pair": "\ud800",
    }


FAULTS = tuple(broken_claims(issuer="https://idp.example", client_id="client", nonce="n" * 43, now=0.0))
"""The names of all of them, for tests that learn the values only when they run."""
