"""The request that makes a provider end its own session too (RP-Initiated Logout 1.0 section 2). Pure.

It is a redirect as long as its address is short. The ID token of a person with many groups makes it longer than servers
and proxies read. Then the same request goes by a form. A provider that takes no form gets the request without the ID
token, and a hint at the person instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from urllib.parse import urlsplit, urlunsplit

from authlib.common.urls import add_params_to_uri

from bff.contract import Identity

LogoutMethod = Literal["auto", "get", "cognito"]
MOST_URL_BYTES: Final = 2_000
MOST_HINT_CHARACTERS: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class EndSession:
    """What the provider is told. "" leaves a parameter out."""

    endpoint: str
    client_id: str
    post_logout_redirect_uri: str
    state: str
    id_token_hint: str = field(default="", repr=False)
    logout_hint: str = ""

    @property
    def parameters(self) -> Mapping[str, str]:
        given = {
            "id_token_hint": self.id_token_hint,
            "logout_hint": self.logout_hint,
            "client_id": self.client_id,
            "post_logout_redirect_uri": self.post_logout_redirect_uri,
            "state": self.state,
        }
        return {name: value for name, value in given.items() if value}

    @property
    def url(self) -> str:
        """The request as one address."""
        return str(add_params_to_uri(self.endpoint, list(self.parameters.items())))


@dataclass(frozen=True, slots=True)
class ByRedirect:
    """Send the browser to `url`."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ByForm:
    """Let the browser post `parameters` to `endpoint`, which is at `origin`.

    A script that calls for the page with this form could read the ID token in it. `instead` is a request without it.
    """

    endpoint: str
    origin: str
    parameters: Mapping[str, str] = field(repr=False)
    instead: ByRedirect


def build_end_session(request: EndSession, *, method: LogoutMethod, identity: Identity) -> ByRedirect | ByForm:
    """Build the request for the browser. With `method` "get" or "cognito" it is always a redirect.

    `identity` is the person: their name at the provider takes the place of an ID token that is too long for an address.
    """
    if method == "cognito":
        return _at_cognito(request)
    url = request.url
    if len(url) <= MOST_URL_BYTES:
        return ByRedirect(url)
    short = ByRedirect(replace(request, id_token_hint="", logout_hint=logout_hint(identity)).url)
    if method == "get":
        return short
    place = urlsplit(request.endpoint)
    return ByForm(request.endpoint, f"{place.scheme}://{place.netloc}", request.parameters, short)


def cognito_endpoint(authorization_endpoint: str) -> str:
    """Return where Amazon Cognito takes its sign-out request: `/logout` on the domain of the user pool."""
    return urlunsplit(urlsplit(authorization_endpoint)._replace(path="/logout", query="", fragment=""))


def _at_cognito(request: EndSession) -> ByRedirect:
    """Build Amazon Cognito's own request: by GET, with these two parameters and no others.

    https://docs.aws.amazon.com/cognito/latest/developerguide/logout-endpoint.html
    """
    given = [("client_id", request.client_id), ("logout_uri", request.post_logout_redirect_uri)]
    return ByRedirect(str(add_params_to_uri(request.endpoint, given)))


def logout_hint(identity: Identity) -> str:
    """Return what a provider knows the person by: its own claim `login_hint` (Entra ID), else the name of the account.

    A provider defines the meaning itself; most take what they take as `login_hint`.
    """
    own = identity.claims.get("login_hint")
    names = (own if isinstance(own, str) else "", identity.preferred_username, identity.email, identity.sub)
    return next((name for name in names if 0 < len(name) <= MOST_HINT_CHARACTERS and name.isprintable()), "")
