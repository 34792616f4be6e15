"""Audiences of an ID token, the ones that are trusted beside ours, and the code of the refusal ("": accepted).

For the pure validation and for a whole sign-in at a running front door.
"""

from __future__ import annotations

from typing import Any

from tests.fakes import OMIT

Case = tuple[tuple[str, ...], dict[str, Any], str]
PROJECT = "271828182845904523"
"""A project's number, as Zitadel adds it to the audiences of every token."""


def audience_cases(client_id: str) -> dict[str, Case]:
    """By what is special: the trusted audiences, the claims, and the code without its prefix."""
    ours_and_project = [client_id, PROJECT]
    return {
        "none is trusted": ((), {"aud": ours_and_project, "azp": client_id}, "aud"),
        "it is trusted": ((PROJECT,), {"aud": ours_and_project, "azp": client_id}, ""),
        "it is trusted and stands first": ((PROJECT,), {"aud": [PROJECT, client_id], "azp": client_id}, ""),
        "any is trusted": (("*",), {"aud": [client_id, PROJECT, "account"], "azp": client_id}, ""),
        "two of two are trusted": ((PROJECT, "account"), {"aud": [*ours_and_project, "account"], "azp": client_id}, ""),
        "one of two is trusted": ((PROJECT,), {"aud": [*ours_and_project, "evil"], "azp": client_id}, "aud"),
        "another is trusted": (("other",), {"aud": ours_and_project, "azp": client_id}, "aud"),
        "a part of it is trusted": ((PROJECT[:-1],), {"aud": ours_and_project, "azp": client_id}, "aud"),
        "a longer one is trusted": ((PROJECT + "0",), {"aud": ours_and_project, "azp": client_id}, "aud"),
        "it is trusted, azp is missing": ((PROJECT,), {"aud": ours_and_project, "azp": OMIT}, "azp"),
        "it is trusted, azp is null": ((PROJECT,), {"aud": ours_and_project, "azp": None}, "azp"),
        "it is trusted, azp is empty": ((PROJECT,), {"aud": ours_and_project, "azp": ""}, "azp"),
        "it is trusted, azp is the project": ((PROJECT,), {"aud": ours_and_project, "azp": PROJECT}, "azp"),
        "it is trusted, azp is a list": ((PROJECT,), {"aud": ours_and_project, "azp": [client_id]}, "azp"),
        "any is trusted, azp is another client": (("*",), {"aud": ours_and_project, "azp": "evil"}, "azp"),
        "any is trusted, ours is missing": (("*",), {"aud": ["a", "b"], "azp": client_id}, "aud"),
        "any is trusted, only another is named": (("*",), {"aud": "other", "azp": client_id}, "aud"),
        "any is trusted, one is no text": (("*",), {"aud": [client_id, 5], "azp": client_id}, "aud"),
        "any is trusted, one is null": (("*",), {"aud": [client_id, None], "azp": client_id}, "aud"),
        "any is trusted, ours twice": (("*",), {"aud": [client_id, client_id], "azp": client_id}, "aud"),
        "any is trusted, ours alone without azp": (("*",), {"aud": [client_id]}, ""),
    }


AUDIENCES = tuple(audience_cases("client"))
"""The names of all of them."""
