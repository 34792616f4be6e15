"""A small OpenID provider on a real socket: discovery, keys, sign-in, tokens, sign-out. It asks nobody for a password.

def test_a_token_of_our_provider_is_accepted(fake_provider):
    api = JWTBearer.from_env(fake_provider.variables(audience="reports"))
    token = fake_provider.access_token("alice", audience="reports")
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

CLIENT_ID = "vestibule"


@dataclass(slots=True)
class Person:
    """Somebody with an account; change the fields and the next token shows it."""

    sub: str
    email: str
    name: str
    roles: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)

    def claims(self) -> dict[str, Any]:
        return {
            "sub": self.sub,
            "email": self.email,
            "email_verified": True,
            "name": self.name,
            "preferred_username": self.sub,
            "roles": list(self.roles),
            "groups": list(self.groups),
        }


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    location: str = ""


class FakeProvider:
    """Whoever is `next_person` gets signed in, at once. Times are those of `clock`, Unix seconds.

    `is_down` makes every answer a 503; `rotate_keys` signs with a new key from then on; `seconds` is how long tokens
    live. Codes and refresh tokens work once.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.client_secret = secrets.token_urlsafe(24)
        self.people: dict[str, Person] = {}
        self.next_person = "alice"
        self.audience = "api"
        self.seconds = 300
        self.is_down = False
        self.key_fetches = 0
        self._once: dict[str, dict[str, str]] = {}
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.rotate_keys()
        self.add_person("alice", roles=["analyst", "admin"], groups=["science"])
        self.add_person("bob", roles=["viewer"])
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def jwks_url(self) -> str:
        return self.issuer + "/jwks.json"

    def variables(self, *, audience: str = "api") -> dict[str, str]:
        """The environment of an API that takes this provider's tokens: for `JWTBearer.from_env()`."""
        return {
            "VESTIBULE_JWT__ISSUER": self.issuer,
            "VESTIBULE_JWT__AUDIENCE": audience,
            "VESTIBULE_JWT__JWKS_URL": self.jwks_url,
        }

    def settings(self) -> dict[str, Any]:
        """A table `[providers.NAME]` for `bff.configuration.parse_settings`."""
        return {
            "issuer": self.issuer,
            "client_id": CLIENT_ID,
            "client_secret": self.client_secret,
            "id_token_alg": "ES256",
            "roles_claim": "roles",
        }

    def add_person(self, sub: str, *, roles: Iterable[str] = (), groups: Iterable[str] = ()) -> Person:
        person = Person(sub, f"{sub}@example.com", sub.title(), list(roles), list(groups))
        self.people[sub] = person
        return person

    def rotate_keys(self) -> None:
        """Sign with a new key; the old ones are no longer published."""
        self._keys = {secrets.token_hex(4): ec.generate_private_key(ec.SECP256R1())}

    def access_token(self, sub: str, /, *, audience: str = "", scopes: Iterable[str] = (), **claims: Any) -> str:
        """An RFC 9068 access token; `claims` are laid over it."""
        person = self.people[sub]
        granted = {"aud": audience or self.audience, "client_id": CLIENT_ID, "jti": secrets.token_hex(8)}
        return self._sign(person.claims() | granted | {"scope": " ".join(scopes)} | claims, typ="at+jwt")

    def _sign(self, claims: Mapping[str, Any], *, typ: str) -> str:
        now = int(self.clock())
        kid, key = next(reversed(self._keys.items()))
        payload = {"iss": self.issuer, "iat": now, "exp": now + self.seconds, **claims}
        return jwt.encode(payload, key, algorithm="ES256", headers={"kid": kid, "typ": typ})

    # Answers, each (parameters, authorization header) -> reply

    def discovery(self, _: Mapping[str, str], __: str) -> _Reply:
        names = {"authorization": "authorize", "token": "token", "userinfo": "userinfo", "end_session": "logout"}
        endpoints = {f"{name}_endpoint": f"{self.issuer}/{path}" for name, path in names.items()}
        return _Reply(
            200,
            {
                "issuer": self.issuer,
                "jwks_uri": self.jwks_url,
                **endpoints,
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
            },
        )

    def jwks(self, _: Mapping[str, str], __: str) -> _Reply:
        self.key_fetches += 1
        return _Reply(200, {"keys": [_public_jwk(kid, key) for kid, key in self._keys.items()]})

    def authorize(self, asked: Mapping[str, str], _: str) -> _Reply:
        if asked.get("client_id") != CLIENT_ID or asked.get("code_challenge_method") != "S256":
            return _Reply(400, {"error": "invalid_request"})
        code = secrets.token_urlsafe(24)
        kept = ("redirect_uri", "nonce", "code_challenge", "scope")
        self._once[code] = {"sub": self.next_person, **{name: asked.get(name, "") for name in kept}}
        query = urlencode({"code": code, "state": asked.get("state", ""), "iss": self.issuer})
        return _Reply(302, location=f"{asked.get('redirect_uri', '')}?{query}")

    def token(self, sent: Mapping[str, str], authorization: str) -> _Reply:
        if not self._is_our_client(sent, authorization):
            return _Reply(401, {"error": "invalid_client"})
        match sent.get("grant_type"):
            case "authorization_code":
                grant = self._once.pop(sent.get("code", ""), None)
                digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
                challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
                if grant and (grant["code_challenge"], grant["redirect_uri"]) != (challenge, sent.get("redirect_uri")):
                    grant = None
            case "refresh_token":
                grant = self._once.pop(sent.get("refresh_token", ""), None)
            case _:
                return _Reply(400, {"error": "unsupported_grant_type"})
        return _Reply(400, {"error": "invalid_grant"}) if grant is None else self._tokens(grant)

    def userinfo(self, _: Mapping[str, str], authorization: str) -> _Reply:
        try:
            key = next(reversed(self._keys.values())).public_key()
            token = authorization.removeprefix("Bearer ")
            claims = jwt.decode(token, key, algorithms=["ES256"], options={"verify_aud": False, "verify_exp": False})
        except jwt.PyJWTError:
            return _Reply(401, {"error": "invalid_token"})
        return _Reply(200, self.people[claims["sub"]].claims())

    def logout(self, asked: Mapping[str, str], _: str) -> _Reply:
        back = asked.get("post_logout_redirect_uri", "")
        query = urlencode({"state": asked["state"]}) if "state" in asked else ""
        return _Reply(302, location=f"{back}?{query}".rstrip("?")) if back else _Reply(200)

    def _tokens(self, grant: Mapping[str, str]) -> _Reply:
        refresh_token = secrets.token_urlsafe(24)
        self._once[refresh_token] = {**grant, "nonce": ""}
        nonce = {"nonce": grant["nonce"]} if grant["nonce"] else {}
        claims = self.people[grant["sub"]].claims() | nonce | {"aud": CLIENT_ID}
        body = {
            "access_token": self.access_token(grant["sub"], scopes=grant["scope"].split()),
            "token_type": "Bearer",
            "expires_in": self.seconds,
            "refresh_token": refresh_token,
            "id_token": self._sign(claims, typ="JWT"),
            "scope": grant["scope"],
        }
        return _Reply(200, body)

    def _is_our_client(self, sent: Mapping[str, str], authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        if scheme == "Basic":
            parts = base64.b64decode(encoded).decode().split(":", 1)
            return [unquote_plus(part) for part in parts] == [CLIENT_ID, self.client_secret]
        return (sent.get("client_id"), sent.get("client_secret")) == (CLIENT_ID, self.client_secret)


def _public_jwk(kid: str, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": kid, "use": "sig", "alg": "ES256"}


def _handler_of(provider: FakeProvider) -> type[BaseHTTPRequestHandler]:
    answers = {
        ("GET", "/.well-known/openid-configuration"): provider.discovery,
        ("GET", "/jwks.json"): provider.jwks,
        ("GET", "/authorize"): provider.authorize,
        ("POST", "/token"): provider.token,
        ("GET", "/userinfo"): provider.userinfo,
        ("GET", "/logout"): provider.logout,
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(urlsplit(self.path).query)

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("content-length", "0"))).decode())

        def _answer(self, form: str) -> None:
            answer = answers.get((self.command, urlsplit(self.path).path))
            parameters = dict(parse_qsl(form, keep_blank_values=True))
            reply = answer(parameters, self.headers.get("authorization", "")) if answer else _Reply(404)
            if provider.is_down:
                reply = _Reply(503)
            body = json.dumps(reply.body).encode()
            self.send_response(reply.status)
            if reply.location:
                self.send_header("Location", reply.location)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: the test's own output is what matters."""

    return Handler
