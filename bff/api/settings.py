"""What one API accepts as bearer tokens, and how the environment says so: `VESTIBULE_JWT__*`, `VESTIBULE_DEV_SECRET`.

| variable | is |
|---|---|
| `VESTIBULE_JWT__ISSUER`, `__AUDIENCE` | `iss` and `aud`, compared exactly |
| `VESTIBULE_JWT__JWKS_URL` | where the issuer's public keys are; or one of the two secrets: |
| `VESTIBULE_JWT__HS256_SECRET` | a secret shared with whoever mints the tokens |
| `VESTIBULE_DEV_SECRET` | the same for one machine: tokens count from loopback alone, without a real issuer |
| `VESTIBULE_JWT__ALGORITHMS` | `ES256,RS256` unless given; also `PS256`, `EdDSA` |
| `VESTIBULE_JWT__TOKEN_TYPES` | `at+jwt` unless given; also `jwt`: access tokens without a type of their own |
| `VESTIBULE_JWT__ROLES_CLAIM` | `roles` unless given; a path such as `realm_access.roles` |
| `VESTIBULE_JWT__IDENTITY_URL` | where to ask for what did not fit into a token; beside `…/jwks.json` unless given |
| `VESTIBULE_JWT__CA_FILE`, `__LEEWAY` | authority of the JWKS host (PEM); tolerated clock difference in seconds |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from bff.api.tokens import TOKEN_TYPES, BearerRules
from bff.contract import DEV_AUDIENCE, DEV_ISSUER, ENV_DEV_SECRET, PATH_IDENTITY, PATH_JWKS
from bff.oidc.jwks import KEY_TYPE_OF
from bff.oidc.urls import is_loopback

PREFIX_OF_VARIABLES: Final = "VESTIBULE_JWT__"
DEFAULT_ALGORITHMS: Final = ("ES256", "RS256")
DEFAULT_LEEWAY: Final = 10.0
MIN_SECRET_BYTES: Final = 32
MAX_LEEWAY: Final = 300
_WORDS: Final = frozenset({"ALGORITHMS", "TOKEN_TYPES"})
_KNOWN: Final = frozenset(
    {"ISSUER", "AUDIENCE", "JWKS_URL", "IDENTITY_URL", "HS256_SECRET", "ROLES_CLAIM", "CA_FILE", "LEEWAY"} | _WORDS
)


class JWTBearerMisconfigured(ValueError):
    """A setting of the API is missing or unsafe; the message names the variable, never its value if secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerSettings:
    """One issuer, one audience, one source of keys. `leeway` is seconds.

    Raises:
        JWTBearerMisconfigured: on construction, for anything missing, contradictory or unsafe.
    """

    issuer: str
    audience: str
    jwks_url: str = ""
    identity_url: str = ""
    hs256_secret: str = field(default="", repr=False)
    development_secret: str = field(default="", repr=False)
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    token_types: tuple[str, ...] = ("at+jwt",)
    roles_claim: str = "roles"
    ca_file: str = ""
    leeway: float = DEFAULT_LEEWAY

    def __post_init__(self) -> None:
        if not self.issuer or not self.audience:
            raise JWTBearerMisconfigured("set VESTIBULE_JWT__ISSUER and VESTIBULE_JWT__AUDIENCE")
        if not 0 <= self.leeway <= MAX_LEEWAY:  # also refuses NaN, under which no token would ever expire
            raise JWTBearerMisconfigured(f"VESTIBULE_JWT__LEEWAY is not between 0 and {MAX_LEEWAY} seconds")
        if not self.roles_claim:
            raise JWTBearerMisconfigured("VESTIBULE_JWT__ROLES_CLAIM is empty")
        _check_words("ALGORITHMS", self.algorithms, tuple(KEY_TYPE_OF))
        _check_words("TOKEN_TYPES", self.token_types, TOKEN_TYPES)
        self._check_source_of_keys()

    @property
    def rules(self) -> BearerRules:
        return BearerRules(
            issuer=self.issuer,
            audience=self.audience,
            algorithms=self.algorithms,
            leeway=self.leeway,
            roles_claim=self.roles_claim,
            token_types=self.token_types,
        )

    @property
    def asks_at(self) -> str:
        """Where the front door tells what did not fit into a token, "" if that is not known."""
        if self.identity_url or not self.jwks_url.endswith(PATH_JWKS):
            return self.identity_url
        return self.jwks_url.removesuffix(PATH_JWKS) + PATH_IDENTITY

    @property
    def secret(self) -> str:
        """The shared secret, "" where keys are fetched."""
        return self.hs256_secret or self.development_secret

    def _check_source_of_keys(self) -> None:
        sources = {
            "VESTIBULE_JWT__JWKS_URL": self.jwks_url,
            "VESTIBULE_JWT__HS256_SECRET": self.hs256_secret,
            ENV_DEV_SECRET: self.development_secret,
        }
        if sum(map(bool, sources.values())) != 1:
            raise JWTBearerMisconfigured("set exactly one of " + ", ".join(sources))
        for name in ("VESTIBULE_JWT__HS256_SECRET", ENV_DEV_SECRET):
            if sources[name] and len(sources[name].encode()) < MIN_SECRET_BYTES:
                raise JWTBearerMisconfigured(f"{name} is shorter than {MIN_SECRET_BYTES} bytes")
        if self.jwks_url and not _is_http_url(self.jwks_url):
            raise JWTBearerMisconfigured("VESTIBULE_JWT__JWKS_URL is not an absolute http(s) URL")
        if self.identity_url and not _is_http_url(self.identity_url):
            raise JWTBearerMisconfigured("VESTIBULE_JWT__IDENTITY_URL is not an absolute http(s) URL")
        if self.development_secret and not _is_of_this_machine(self.issuer):
            raise JWTBearerMisconfigured(
                f"{ENV_DEV_SECRET} beside VESTIBULE_JWT__ISSUER of a real provider would let in everybody who "
                "has the secret; unset one of them"
            )


def read_bearer_settings(environ: Mapping[str, str]) -> BearerSettings:
    """The settings that `environ` holds.

    Raises:
        JWTBearerMisconfigured: naming the variable.
    """
    given = {
        name.removeprefix(PREFIX_OF_VARIABLES): value
        for name, value in environ.items()
        if name.startswith(PREFIX_OF_VARIABLES) and value
    }
    if unknown := sorted(set(given) - _KNOWN):
        raise JWTBearerMisconfigured(f"there is no setting {PREFIX_OF_VARIABLES}{unknown[0]}")
    development_secret = environ.get(ENV_DEV_SECRET, "")
    if development_secret:
        given = {"ISSUER": DEV_ISSUER, "AUDIENCE": DEV_AUDIENCE, **given}
    for name in ("ISSUER", "AUDIENCE"):
        if name not in given:
            raise JWTBearerMisconfigured(f"{PREFIX_OF_VARIABLES}{name} is not set")
    try:
        leeway = float(given.pop("LEEWAY", DEFAULT_LEEWAY))
    except ValueError:
        raise JWTBearerMisconfigured("VESTIBULE_JWT__LEEWAY is not a number of seconds") from None
    words = {name.lower(): _words(given.pop(name)) for name in _WORDS & given.keys()}
    texts = {name.lower(): value for name, value in given.items()}
    return BearerSettings(development_secret=development_secret, leeway=leeway, **texts, **words)  # type: ignore[arg-type]  # names and types are those of _KNOWN


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for part in text.split(",") if (word := part.strip()))


def _check_words(name: str, given: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    if not given or not set(given) <= set(allowed):
        raise JWTBearerMisconfigured(
            f"{PREFIX_OF_VARIABLES}{name}: write one or more of {', '.join(allowed)}, with commas between them"
        )


def _is_http_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0 and text.isascii()
    except ValueError:
        return False


def _is_of_this_machine(issuer: str) -> bool:
    try:
        return is_loopback(urlsplit(issuer))
    except ValueError:
        return False
