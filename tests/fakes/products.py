"""The fake provider in the shape of real products: what each sends, leaves out and refuses.

`sources` names, shape by shape, the page of the product's documentation or the thread that shows it. A shape without
one is listed as "unverified" there, and docs/providers.md says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.ports import free_port

from .provider import FakeProvider
from .provider_state import OMIT

Claims = dict[str, Any]
UNVERIFIED = "unverified"
SECRET_IN_THE_FORM = frozenset({"entra", "auth0"})
"""Products whose clients send the secret in the form."""
OFFLINE_ACCESS = frozenset({"entra", "okta", "auth0", "zitadel", "authentik", "dex", "ping", "b2c"})
"""Products that give a refresh token only for the scope `offline_access`."""
NO_PROTOCOL_EXTRAS: Mapping[str, Any] = {"sid": OMIT, "acr": OMIT, "auth_time": OMIT, "at_hash": OMIT}


@dataclass(frozen=True, slots=True)
class Product:
    """One product. `table` is what its operator writes into `[providers.corp]` beside the profile.

    `roles`, `groups` and `email_verified` are what the person `alice` has after a sign-in. `knows_signing_out`: the
    product has an end-session endpoint, so that a sign-out here is one there.
    """

    profile: str
    sources: Mapping[str, str]
    bend: Callable[[FakeProvider], None]
    issuer_path: str = ""
    document_path: str = ""
    """Where the discovery document and the endpoints are, if not below the issuer."""
    table: Mapping[str, Any] = field(default_factory=dict)
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    email_verified: bool = True
    knows_signing_out: bool = True
    rotates: bool = True

    @contextmanager
    def running(self, *, clock: Callable[[], float]) -> Iterator[FakeProvider]:
        """The provider on a separate port, in the shape of this product."""
        port = free_port()
        here = f"http://127.0.0.1:{port}"
        path = self.document_path or self.issuer_path
        provider = FakeProvider(port=port, issuer_path=path, issuer=here + self.issuer_path, clock=clock)
        provider.client.auth_method = (
            "client_secret_post" if self.profile in SECRET_IN_THE_FORM else "client_secret_basic"
        )
        provider.options.refresh_tokens_need_scope = self.profile in OFFLINE_ACCESS
        with provider:
            if self.document_path:
                endpoints_below(provider, here + self.document_path)
            self.bend(provider)
            yield provider

    def settings(self, provider: FakeProvider) -> dict[str, Any]:
        """`[providers.corp]` of an operator who follows docs/providers.md."""
        table = {
            "profile": self.profile,
            "issuer": provider.issuer,
            "client_id": provider.client.client_id,
            "client_secret": provider.client.client_secret,
            **self.table,
        }
        if "allowed_hosts" in self.table:
            table["allowed_hosts"] = [f"{host}:{provider.port}" for host in self.table["allowed_hosts"]]
        if self.document_path:
            table["discovery_url"] = f"{provider.url}{self.document_path}/.well-known/openid-configuration"
        return table


def id_token(provider: FakeProvider, claims: Mapping[str, Any]) -> None:
    """Replace `claims` in each ID token."""
    provider.bend.id_token.claims(lambda before: {**before, **claims})


def userinfo(provider: FakeProvider, change: Callable[[Claims], Claims]) -> None:
    provider.bend.userinfo.json(change)


def plain_person(provider: FakeProvider, *, keep: tuple[str, ...] = ("sub", "name", "email", "email_verified")) -> None:
    """Take the claims that only Keycloak has out of ID token, access token and userinfo."""
    gone = {name: OMIT for name in ("realm_access", "groups", "preferred_username") if name not in keep}
    id_token(provider, gone)
    provider.bend.access_token.claims(lambda before: {**before, **dict.fromkeys(("realm_access", "groups"), OMIT)})
    userinfo(provider, lambda before: {name: value for name, value in before.items() if name not in gone})


def without_metadata(provider: FakeProvider, *names: str) -> None:
    provider.bend.discovery.json(lambda before: {name: value for name, value in before.items() if name not in names})


def endpoints_below(provider: FakeProvider, base: str) -> None:
    """Announce every endpoint below `base` instead of below the issuer."""
    own = provider.issuer.rstrip("/")

    def move(document: Claims) -> Claims:
        moved = {
            name: base + value.removeprefix(own)
            for name, value in document.items()
            if name != "issuer" and isinstance(value, str) and value.startswith(own)
        }
        return {**document, **moved}

    provider.bend.discovery.json(move)


def endpoints_elsewhere(provider: FakeProvider, *names: str) -> None:
    """Announce these endpoints on another host name of the same machine."""

    def move(document: Claims) -> Claims:
        moved = {name: document[name].replace("127.0.0.1", "localhost") for name in names}
        return {**document, **moved}

    provider.bend.discovery.json(move)


def entra(provider: FakeProvider) -> None:
    """ID tokens are five minutes old, have no `email_verified` and no `at_hash`; userinfo is at Graph."""
    plain_person(provider, keep=("preferred_username",))
    endpoints_elsewhere(provider, "userinfo_endpoint")
    without_metadata(provider, "revocation_endpoint", "pushed_authorization_request_endpoint")

    def old(before: Claims) -> Claims:
        made = before["iat"] - 300
        return {
            **before,
            **NO_PROTOCOL_EXTRAS,
            "email_verified": OMIT,
            "iat": made,
            "nbf": made,
            "ver": "2.0",
            "tid": "00000000-0000-0000-0000-000000000000",
            "oid": "11111111-1111-1111-1111-111111111111",
            "roles": ["analyst"],
            "groups": ["22222222-2222-2222-2222-222222222222"],
        }

    provider.bend.id_token.claims(old)
    provider.bend.token.json(lambda answer: {**answer, "ext_expires_in": answer["expires_in"]})


def keycloak(provider: FakeProvider) -> None:
    """Realm roles are only in the access token; the ID token's `typ` claim is `ID`, the access token's `Bearer`."""
    id_token(provider, {"realm_access": OMIT, "groups": OMIT, "typ": "ID", "azp": provider.client.client_id})
    provider.bend.access_token.claims(
        lambda before: {**before, "aud": "account", "typ": "Bearer", "azp": before["client_id"]}
    )
    userinfo(provider, lambda before: {k: v for k, v in before.items() if k not in ("realm_access", "groups")})
    provider.bend.token.json(lambda answer: {**answer, "refresh_expires_in": 1800, "not-before-policy": 0})


def okta(provider: FakeProvider) -> None:
    """Groups come with the scope `groups`; the access token lists its scopes as `scp`."""
    plain_person(provider, keep=("preferred_username", "groups"))
    id_token(provider, {"ver": 1, "amr": ["pwd"], "idp": "00o1", "acr": OMIT, "groups": ["science"]})
    provider.bend.access_token.claims(lambda before: {**before, "cid": before["client_id"], "uid": "00u1", "ver": 1})


def auth0(provider: FakeProvider) -> None:
    """`roles` is a reserved name, so an Action adds roles under a URL."""
    plain_person(provider)
    id_token(provider, {"https://apps.example.com/roles": ["analyst"], "nickname": "alice", "acr": OMIT})
    provider.options.rotate_refresh_tokens = False
    without_metadata(provider, "pushed_authorization_request_endpoint")


def google(provider: FakeProvider) -> None:
    """Endpoints have hosts of their own; there is no sign-out; a refresh gives no new refresh token."""
    plain_person(provider)
    id_token(provider, {"azp": provider.client.client_id, "hd": "example.com", "sid": OMIT, "acr": OMIT})
    endpoints_elsewhere(provider, "token_endpoint", "userinfo_endpoint", "jwks_uri", "revocation_endpoint")
    without_metadata(provider, "end_session_endpoint", "pushed_authorization_request_endpoint")
    provider.options.rotate_refresh_tokens = False


def cognito(provider: FakeProvider) -> None:
    """Endpoints are on the domain of the user pool; `email_verified` is text at userinfo; a sign-out of its own."""
    plain_person(provider)
    id_token(provider, {"cognito:groups": ["science"], "token_use": "id", "sid": OMIT, "acr": OMIT})
    userinfo(provider, lambda before: {**before, "email_verified": "true", "username": "alice"})
    provider.bend.access_token.claims(
        lambda before: {**before, "token_use": "access", "cognito:groups": ["science"], "username": "alice"}
    )
    of_the_pool = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "end_session_endpoint")
    endpoints_elsewhere(provider, *of_the_pool)
    without_metadata(provider, "pushed_authorization_request_endpoint")
    provider.options.cognito_sign_out, provider.options.rotate_refresh_tokens = True, False


def zitadel(provider: FakeProvider) -> None:
    """The audience names every application of the project, and the project. Roles are a map, missing values null."""
    plain_person(provider, keep=("preferred_username",))
    ours = provider.client.client_id
    id_token(
        provider,
        {
            "aud": ["260887404288738416", ours, "257713952794870157"],
            "azp": ours,
            "client_id": ours,
            "locale": None,
            "amr": ["user", "mfa"],
            "urn:zitadel:iam:org:project:roles": {"analyst": {"257712562366383231": "lab.example.com"}},
        },
    )


def authentik(provider: FakeProvider) -> None:
    """Groups come with the scope `profile`; `email_verified` is false unless an administrator maps it."""
    plain_person(provider, keep=("preferred_username", "groups"))
    id_token(provider, {"groups": ["science"], "email_verified": False, "nickname": "alice", "acr": "default"})
    userinfo(provider, lambda before: {**before, "email_verified": False})


def gitlab(provider: FakeProvider) -> None:
    """The ID token has the direct groups, userinfo all of them; there is no sign-out."""
    plain_person(provider, keep=("preferred_username", "groups"))
    id_token(provider, {"groups": OMIT, "groups_direct": ["lab"], "sub_legacy": "a1", "preferred_username": OMIT})
    userinfo(provider, lambda before: {**before, "groups": ["lab", "lab/science"], "nickname": "alice"})
    without_metadata(provider, "end_session_endpoint", "pushed_authorization_request_endpoint")
    provider.options.id_token_lifetime = 120


def dex(provider: FakeProvider) -> None:
    """Groups come with the scope `groups`; there is no session, and so no sign-out."""
    plain_person(provider, keep=("groups",))
    id_token(provider, {"groups": ["science"], "sid": OMIT, "acr": OMIT, "auth_time": OMIT})
    without_metadata(provider, "end_session_endpoint", "pushed_authorization_request_endpoint", "revocation_endpoint")


def ping(provider: FakeProvider) -> None:
    """Roles come from an attribute mapping of the application."""
    plain_person(provider, keep=("preferred_username",))
    id_token(provider, {"roles": ["analyst"], "env": "0", "org": "1", "p1.region": "EU"})


def b2c(provider: FakeProvider) -> None:
    """No userinfo; addresses are a list without `email_verified`; the policy is part of the endpoints."""
    plain_person(provider)
    without_metadata(provider, "userinfo_endpoint", "revocation_endpoint", "pushed_authorization_request_endpoint")
    id_token(
        provider,
        {
            **NO_PROTOCOL_EXTRAS,
            "email": OMIT,
            "email_verified": OMIT,
            "emails": ["alice@example.com"],
            "ver": "1.0",
            "tfp": "B2C_1_signin",
            "roles": ["analyst"],
        },
    )


MICROSOFT_ID_TOKEN = "https://learn.microsoft.com/en-us/entra/identity-platform/id-token-claims-reference"
COGNITO_GUIDE = "https://docs.aws.amazon.com/cognito/latest/developerguide"
GITLAB_PROVIDER = "https://docs.gitlab.com/integration/openid_connect_provider"
DEX_SCOPES = "https://dexidp.io/docs/configuration/custom-scopes-claims-clients/"
GOOGLE_REFERENCE = "https://developers.google.com/identity/openid-connect/reference"
ZITADEL_TOKEN = "https://github.com/holos-run/holos/issues/91"
B2C_DISCOVERY = "https://github.com/coreos/go-oidc/issues/121"

PRODUCTS = (
    Product(
        profile="entra",
        bend=entra,
        issuer_path="/00000000-0000-0000-0000-000000000000/v2.0",
        table={"allowed_hosts": ["localhost"]},
        roles=("analyst",),
        groups=("22222222-2222-2222-2222-222222222222",),
        email_verified=False,
        sources={
            "claims of the ID token": MICROSOFT_ID_TOKEN,
            "iat and nbf before the sign-in": UNVERIFIED,
            "no at_hash, no revocation endpoint": UNVERIFIED,
        },
    ),
    Product(
        profile="keycloak",
        bend=keycloak,
        issuer_path="/realms/corp",
        roles=("analyst", "admin"),
        groups=("science",),
        sources={"realm roles in the access token, typ, azp, aud account": "tried with Keycloak 26.7.3"},
    ),
    Product(
        profile="okta",
        bend=okta,
        issuer_path="/oauth2/default",
        roles=("science",),
        groups=("science",),
        sources={
            "scopes groups and offline_access": "https://developer.okta.com/docs/api/oauth2",
            "groups claim": "https://developer.okta.com/docs/guides/customize-tokens-groups-claim/",
            "other claims": UNVERIFIED,
        },
    ),
    Product(
        profile="auth0",
        bend=auth0,
        issuer_path="/",
        table={"roles_claim": "https://apps.example.com/roles"},
        roles=("analyst",),
        rotates=False,
        sources={
            "roles is a reserved claim": "https://auth0.com/docs/tokens/create-namespaced-custom-claims",
            "refresh tokens that do not rotate": UNVERIFIED,
        },
    ),
    Product(
        profile="google",
        bend=google,
        table={"allowed_hosts": ["localhost"]},
        knows_signing_out=False,
        rotates=False,
        sources={"discovery document, claims, access_type": GOOGLE_REFERENCE, "no new refresh token": UNVERIFIED},
    ),
    Product(
        profile="cognito",
        bend=cognito,
        issuer_path="/eu-central-1_abcdefghi",
        table={"allowed_hosts": ["localhost"]},
        groups=("science",),
        rotates=False,
        sources={
            "sign-out by a request of its own": f"{COGNITO_GUIDE}/logout-endpoint.html",
            "end_session_endpoint in discovery": "https://github.com/swisstopo/swissgeol-boreholes-suite/pull/1066",
            "email_verified as text at userinfo": UNVERIFIED,
        },
    ),
    Product(
        profile="zitadel",
        bend=zitadel,
        roles=("analyst",),
        sources={
            "aud, azp, client_id, locale null": ZITADEL_TOKEN,
            "aud grows with each application": "https://github.com/zitadel/zitadel/issues/9200",
            "roles": "https://zitadel.com/docs/guides/integrate/retrieve-user-roles",
        },
    ),
    Product(
        profile="authentik",
        bend=authentik,
        issuer_path="/application/o/vestibule/",
        roles=("science",),
        groups=("science",),
        email_verified=False,
        sources={
            "claims": "https://authjs.dev/reference/core/providers_authentik",
            "email_verified is false": UNVERIFIED,
        },
    ),
    Product(
        profile="gitlab",
        bend=gitlab,
        groups=("lab", "lab/science"),
        knows_signing_out=False,
        sources={"which claim is where": GITLAB_PROVIDER, "no end-session endpoint, 120 s": UNVERIFIED},
    ),
    Product(
        profile="dex",
        bend=dex,
        issuer_path="/dex",
        roles=("science",),
        groups=("science",),
        knows_signing_out=False,
        sources={"scopes and claims": DEX_SCOPES, "no end-session endpoint": UNVERIFIED},
    ),
    Product(
        profile="ping",
        bend=ping,
        issuer_path="/00000000-0000-0000-0000-000000000000/as",
        roles=("analyst",),
        sources={"everything": UNVERIFIED},
    ),
    Product(
        profile="b2c",
        bend=b2c,
        issuer_path="/00000000-0000-0000-0000-000000000000/v2.0/",
        document_path="/lab.onmicrosoft.com/b2c_1_signin/v2.0",
        table={"scopes": ["openid", "offline_access", "vestibule"]},
        roles=("analyst",),
        email_verified=False,
        sources={
            "issuer and document at different addresses": B2C_DISCOVERY,
            "the same with another client": "https://github.com/panva/openid-client/issues/718",
            "claims": UNVERIFIED,
        },
    ),
)
