"""Options of the headers that tell an application who is there, and of the tokens it gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from bff.settings.header_names import claim_header_faults
from bff.settings.tables import RouteSettings
from gateway.cli.migrate.draft import Draft
from gateway.cli.migrate.options import Given, Instead, Option, Outcome, Safer, Taken, none_if_on, unsafe_if_off

_PRESETS: Final = {"x-forwarded-": "x-forwarded", "x-auth-request-": "x-auth-request", "remote-": "remote"}
_IDENTITY: Final = frozenset({"user", "email", "groups", "preferred-username", "name"})
_TOKENS: Final = frozenset({"access_token", "id_token"})
_NOT_CLAIMS: Final = frozenset({"access_token", "id_token", "refresh_token", "created_at", "expires_on"})
_IN_AUTHORIZATION: Final = "the application reads it from Authorization: Bearer, not from X-Forwarded-Access-Token"


def settle_headers(draft: Draft, *, is_forward_auth: bool) -> None:
    """Choose the preset that oauth2-proxy's own defaults amount to, unless an option of the alpha configuration did."""
    if "identity_headers" in draft.route:
        return
    if is_forward_auth:
        draft.route["identity_headers"] = "x-auth-request"
    else:
        draft.route["identity_headers"] = "x-forwarded" if _passes(draft) else "none"


def _passes(draft: Draft) -> bool:
    """True if the application gets X-Forwarded-User and so on. In the alpha configuration nothing is passed unasked."""
    usually = not draft.has_alpha
    return draft.is_on("pass_user_headers", usually=usually) or draft.is_on("pass_basic_auth", usually=usually)


def _user_headers(given: Given, draft: Draft) -> Outcome:
    if given.is_on:
        return Taken('routes.identity_headers = "x-forwarded"')
    return Taken('routes.identity_headers, "none" if nothing else asks for headers')


def _basic_auth(given: Given, draft: Draft) -> Outcome:
    if not given.is_on or not draft.text("basic_auth_password"):
        return _user_headers(given, draft)
    return Instead(
        'The user headers pass (identity_headers = "x-forwarded"), the password does not: set upstream_secret, or '
        'token = "assertion", so that the application knows who calls',
        is_open=True,
    )


def _xauthrequest(given: Given, draft: Draft) -> Outcome:
    if not given.is_on:
        return Taken("routes.identity_headers says what is sent")
    if draft.upstreams:
        return Instead("Headers of identity go to the upstream, not to the browser")
    return Taken('routes.identity_headers = "x-auth-request"')


def _access_token(given: Given, draft: Draft) -> Outcome:
    if not given.is_on:
        return Taken("no token is sent")
    if draft.is_on("pass_authorization_header"):
        return Instead("An application gets one token: here the ID token of pass_authorization_header", is_open=True)
    draft.put(given, "routes.token", "access_token")
    return Taken(f'routes.token = "access_token": {_IN_AUTHORIZATION}')


def _id_token(given: Given, draft: Draft) -> Outcome:
    return draft.put(given, "routes.token", "id_token") if given.is_on else Taken("no ID token is sent")


def _authorization_in_answers(given: Given, draft: Draft) -> Outcome:
    if not given.is_on:
        return Taken("no token is in an answer")
    draft.route.setdefault("token", "id_token")
    return Safer(
        'routes.token = "id_token". A public /oauth2/auth never carries it: page scripts could call that. The proxy '
        "gets it from /auth/verify/nginx on [forward_auth] bind, which nobody else reaches"
    )


def _basic_in_answers(given: Given, draft: Draft) -> Outcome:
    if not given.is_on:
        return Taken("no password is in an answer")
    return Safer("No password is in an answer: a page script could read it", is_open=True)


def _injected(given: Given, draft: Draft) -> Outcome:
    """Read one header of the alpha configuration: an identity, a token, or a claim."""
    name, values = given.word("name"), given.rows("values")
    claims = list(_claims_of(values))
    if len(values) != 1 or len(claims) != 1:
        return Instead(
            f"{name}: a header has one claim as its value. A fixed secret for the application is upstream_secret",
            is_open=True,
        )
    claim, prefix = claims[0]
    lower = name.lower()
    if claim in _TOKENS:
        return _token_in_header(given, draft, claim, name=name, prefix=prefix)
    for beginning, preset in _PRESETS.items():
        if lower.startswith(beginning) and lower.removeprefix(beginning) in _IDENTITY and not prefix:
            return _preset(given, draft, preset, name=name)
    return _claim_header(given, draft, name, claim=claim, prefix=prefix)


def _claims_of(values: list[Any]) -> Iterator[tuple[str, str]]:
    """Yield claim and prefix of each value, in the old flat form and in the new one with `claimSource`."""
    for value in values:
        source = value.get("claimSource", value) if isinstance(value, dict) else {}
        if isinstance(source, dict) and source.get("claim") and not source.get("basicAuthPassword"):
            yield str(source["claim"]), str(source.get("prefix") or "").strip()


def _token_in_header(given: Given, draft: Draft, claim: str, *, name: str, prefix: str) -> Outcome:
    if draft.route.get("token", claim) != claim:
        return Instead(f"{name}: an application gets one token, in Authorization: Bearer", is_open=True)
    taken = draft.put(given, "routes.token", claim)
    if given.option.alpha[0] == "injectResponseHeaders":
        return Safer(
            f"{taken.says}. A public /oauth2/auth never carries it; /auth/verify/nginx on its own listener does"
        )
    if name.lower() == "authorization" and prefix.lower() == "bearer":
        return taken
    return Taken(f"{taken.says}: the application reads it from Authorization: Bearer, not from {name}")


def _preset(given: Given, draft: Draft, preset: str, *, name: str) -> Outcome:
    if draft.route.get("identity_headers", preset) != preset:
        return Instead(f"{name}: a route has one set of headers, {draft.route['identity_headers']} here", is_open=True)
    taken = draft.put(given, "routes.identity_headers", preset)
    return Taken(f"{taken.says}, which holds {name}")


def _claim_header(given: Given, draft: Draft, name: str, *, claim: str, prefix: str) -> Outcome:
    if claim in _NOT_CLAIMS or prefix:
        return Instead(f"{name}: headers hold claims as they are", is_open=True)
    headers = {**draft.route.get("claim_headers", {}), name: {"user": "sub"}.get(claim, claim)}
    fault = next(iter(claim_header_faults(RouteSettings(id="trial", claim_headers=headers))), None)
    if fault is not None:
        return Instead(f"{fault[1]}; {fault[2]} (routes.claim_headers)", is_open=True)
    return draft.put(given, "routes.claim_headers", headers)


_ONE_NAME: Final = "X-Forwarded-User is always `sub`, which never changes; the address is in X-Forwarded-Email"
OPTIONS: Final = (
    Option("pass-user-headers", Taken('`routes.identity_headers = "x-forwarded"`'), _user_headers, "flag"),
    Option("pass-basic-auth", Taken('`routes.identity_headers = "x-forwarded"`; no password is sent'), _basic_auth,
           "flag"),
    Option("basic-auth-password", Instead("`upstream_secret`, or `token = \"assertion\"`, shows the application who "
                                          "calls")),
    Option("prefer-email-to-user", Instead(_ONE_NAME), none_if_on(_ONE_NAME, as_before="X-Forwarded-User is `sub`"),
           "flag"),
    Option("set-xauthrequest", Taken('`routes.identity_headers = "x-auth-request"`'), _xauthrequest, "flag"),
    Option("pass-access-token", Taken('`routes.token = "access_token"`, in `Authorization: Bearer`'), _access_token,
           "flag"),
    Option("pass-authorization-header", Taken('`routes.token = "id_token"`'), _id_token, "flag"),
    Option("set-authorization-header", Safer('`routes.token = "id_token"`, but never in a public answer: see '
                                             "[below](#what-behaves-differently)"), _authorization_in_answers,
           "flag"),
    Option("set-basic-auth", Safer("No password is in an answer"), _basic_in_answers, "flag"),
    Option("skip-auth-strip-headers", Safer("Headers that name a person are removed on every route, in every spelling"),
           unsafe_if_off("Headers that name a person are removed on every route, in every spelling",
                     as_before="headers that name a person are removed on every route"), "flag"),
    Option("", Taken("`routes.identity_headers`, `routes.token` or `routes.claim_headers`"), _injected, "table",
           alpha=("injectRequestHeaders",)),
    Option("", Taken("`routes.identity_headers` or `routes.claim_headers`; a token is never in a public answer"),
           _injected, "table", alpha=("injectResponseHeaders",)),
)  # fmt: skip
