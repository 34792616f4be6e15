"""Options of the listeners, of public addresses, of the proxy in front, and of programs that call with a token."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Any, Final
from urllib.parse import urlsplit

from bff.oidc.urls import http_url, is_loopback
from gateway.cli.migrate.draft import Draft
from gateway.cli.migrate.options import Given, Instead, Option, Outcome, Safer, Taken, none_if_on, unsafe_if_on
from gateway.faults import UsageFault

USUAL_BIND: Final = "127.0.0.1:4180"
CALLBACK: Final = "/oauth2/callback"
PREFIX: Final = "/oauth2"
_BIND: Final = re.compile(r"(?:https?://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^:/\[\]]*):(?P<port>[0-9]{1,5})")
_PROXIES: Final = (
    "Forwarded headers are believed only from `server.trusted_proxies`; it is empty until you name a proxy"
)


def settle_listeners(draft: Draft) -> None:
    """Set the public address, and what follows from it.

    Raises:
        UsageFault: no option says what people type into the browser.
    """
    server = draft.server
    public = http_url(draft.public_url)
    if public is None:
        raise UsageFault(
            "what people type into the browser is not known: redirect_url is missing or relative; name it with "
            "--public-url https://apps.example.com"
        )
    is_local = public.scheme == "http" and is_loopback(public)
    settled: dict[str, Any] = {"public_url": draft.public_url}
    origins = [one for one in dict.fromkeys(draft.origins) if urlsplit(one).hostname != public.hostname]
    if origins:
        settled["origins"] = origins
    kept = {key: value for key, value in server.items() if key not in settled}
    server.clear()
    server |= {**settled, "bind": USUAL_BIND, **kept}
    if is_local:
        server["environment"] = "development"
    if draft.trusted_proxies:
        server["trusted_proxies"] = list(draft.trusted_proxies)


def public_url_of(redirect_url: str) -> str:
    """Return scheme, host and port of an OAuth redirect URL, "" if it names no host."""
    url = http_url(redirect_url)
    if url is None or not url.hostname:
        return ""
    usual = {"http": 80, "https": 443}[url.scheme]
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{url.scheme}://{host}" + (f":{url.port}" if url.port not in (None, usual) else "")


def _redirect_url(given: Given, draft: Draft) -> Outcome:
    says = f'server.public_url = "{draft.public_url}"'
    url = urlsplit(given.text)
    if url.path == CALLBACK and public_url_of(given.text) == draft.public_url:
        return Taken(f"{says}; the redirect URI that is registered stays valid")
    register = draft.public_url + CALLBACK
    draft.steps.append(f"Register the redirect URI {register} at the provider: {given.text} is not served here")
    return Taken(f"{says}; register {register} at the provider")


def _bind(text: str, *, usual_host: str) -> str:
    found = _BIND.fullmatch(text)
    return f"{found['host'] or usual_host}:{found['port']}" if found else ""


def _http_address(given: Given, draft: Draft) -> Outcome:
    bind = _bind(given.text, usual_host="0.0.0.0")
    if draft.text("tls_cert_file"):
        return Instead("There is one public listener, and it is the one with https (https_address)")
    if not bind:
        return Instead(
            f"The public listener is host:port, {USUAL_BIND} now: no Unix socket and no open descriptor", is_open=True
        )
    return draft.put(given, "server.bind", bind)


def _https_address(given: Given, draft: Draft) -> Outcome:
    if not draft.text("tls_cert_file"):
        return Instead("Has no effect: there is no certificate (tls_cert_file)")
    bind = _bind(given.text, usual_host="0.0.0.0")
    return draft.put(given, "server.bind", bind) if bind else Instead("The public listener is host:port", is_open=True)


def _tls_file(given: Given, draft: Draft) -> Outcome:
    key = {"tls_cert_file": "certificate_file", "tls_key_file": "key_file"}[given.option.name]
    draft.server.setdefault("bind", "0.0.0.0:443")
    tls = {**draft.server.get("tls", {}), key: str(draft.place(given.text).absolute())}
    return draft.put(given, "server.tls", tls)


def _reverse_proxy(given: Given, draft: Draft) -> Outcome:
    if not given.is_on:
        return Taken("no forwarded header is believed")
    if draft.trusted_proxies:
        return Taken(f"server.trusted_proxies: {', '.join(draft.trusted_proxies)}")
    draft.steps.append(
        "Name the addresses of your proxy in server.trusted_proxies, or run this again with --trusted-proxy: until "
        "then no forwarded header is believed"
    )
    return Safer(f"{_PROXIES}. oauth2-proxy believed everybody", is_open=True)


def proxies_of(names: tuple[str, ...], *, source: str) -> tuple[str, ...]:
    """Return those networks that are not everybody.

    Raises:
        UsageFault: one is no network.
    """
    try:
        networks = [ip_network(name, strict=False) for name in names]
    except ValueError as exc:
        raise UsageFault(f"{source}: {exc}") from None
    return tuple(str(network) for network in networks if network.prefixlen)


def _trusted_proxies(given: Given, draft: Draft) -> Outcome:
    kept = proxies_of(given.items, source=given.source)
    if len(kept) == len(given.items):
        return Taken(f"server.trusted_proxies: {', '.join(kept)}")
    return Safer(f"{_PROXIES}. Everybody is no answer; believed are: {', '.join(kept) or 'none'}", is_open=not kept)


def _real_ip_header(given: Given, draft: Draft) -> Outcome:
    if given.text.lower() == "x-forwarded-for":
        return Taken("X-Forwarded-For of trusted proxies is read, from the right")
    draft.steps.append(f"Let the proxy send X-Forwarded-For: {given.text} is not read")
    return Instead("The address comes from X-Forwarded-For of trusted proxies, read from the right", is_open=True)


def _whitelist(given: Given, draft: Draft) -> Outcome:
    """A host named in full becomes an origin of its own; a wildcard does not."""
    own: list[str] = []
    exact: list[str] = []
    left: list[str] = []
    for entry in given.items:
        origin = "" if entry.startswith((".", "*")) or entry.endswith(":*") else public_url_of(f"https://{entry}")
        host = urlsplit(origin).hostname
        if origin == draft.public_url or entry == urlsplit(draft.public_url).netloc:
            own.append(entry)
        elif origin and _may_be_origin(draft, origin) and host not in {urlsplit(one).hostname for one in exact}:
            exact.append(origin)
        else:
            left.append(entry)
    draft.origins += exact
    draft.steps += [
        f"Register {origin}{CALLBACK} at the provider, and let that host pass {PREFIX}/ and /auth/ on"
        for origin in exact
    ]
    says = [f"{', '.join(own)}: the public address itself"] if own else []
    says += [f"server.origins: {', '.join(exact)}, if each of them passes /auth/ on"] if exact else []
    if not left:
        return Taken("; ".join(says))
    shut = f"Nobody is sent to {', '.join(left)} after a sign-in: name each host in server.origins"
    return Safer("; ".join([*says, shut]), is_open=True)


def _may_be_origin(draft: Draft, origin: str) -> bool:
    """True for another host than the public one, and if that one has https: origins have one scheme."""
    return draft.public_url.startswith("https://") and urlsplit(origin).hostname != draft.public_host


def _bearer_tokens(given: Given, draft: Draft) -> Outcome:
    if not given.is_on:
        return Taken("no bearer token is accepted")
    audience = draft.text("client_id")
    draft.route["accept_bearer"] = {"providers": [draft.product.name], "audience": audience}
    return Safer(
        f"routes.accept_bearer for {draft.product.name} with the audience {audience}: only access tokens. An ID token "
        "says who signed in, and opens nothing; the rule who may come in holds for programs too"
    )


def _extra_issuers(given: Given, draft: Draft) -> Outcome:
    return Instead(
        f"Tokens of {', '.join(item.partition('=')[0] for item in given.items)} open nothing yet: add a table "
        "[providers.NAME] for it and name it in routes.accept_bearer",
        is_open=True,
    )


def _proxy_prefix(given: Given, draft: Draft) -> Outcome:
    if given.text.rstrip("/") == PREFIX:
        return Taken("`/oauth2/` is served ([compat] oauth2_proxy)")
    draft.steps.append(f"Change links and proxies from {given.text} to {PREFIX} or /auth")
    return Instead(f"The names are below /auth and {PREFIX}; {given.text} is not served", is_open=True)


def _probe(given: Given, draft: Draft) -> Outcome:
    usual = {"ping_path": "/ping", "ready_path": "/ready"}[given.option.name]
    if given.text == usual:
        return Taken(f"{usual} is served ([compat] oauth2_proxy)")
    return Instead("/healthz and /readyz are on server.management_bind; server.public_health opens /healthz to all")


def _gcp(given: Given, draft: Draft) -> Outcome:
    if not given.is_on:
        return Taken("nothing of health is public but /ping and /ready")
    draft.put(given, "server.public_health", True)
    return Taken("server.public_health = true: /healthz on the public listener")


_HTTPS: Final = "A listener speaks http or https, never both: let the proxy in front redirect"
_METRICS: Final = "There are no metrics; health is on `server.management_bind`, and events are in the log"
_TLS: Final = "Python's own choice of ciphers, TLS 1.2 and newer"
OPTIONS: Final = (
    Option("redirect-url", Taken("`server.public_url`; `/oauth2/callback` stays valid"), _redirect_url),
    Option("relative-redirect-url", Safer("Absolute URLs are made from `server.public_url`, never from the request"),
           unsafe_if_on("Absolute URLs are made from server.public_url, never from the request",
                     as_before="absolute URLs are made from server.public_url"), "flag"),
    Option("http-address", Taken("`server.bind`"), _http_address, alpha=("server.bindAddress",)),
    Option("https-address", Taken("`server.bind`, with `server.tls`"), _https_address,
           alpha=("server.secureBindAddress",)),
    Option("tls-cert-file", Taken("`server.tls.certificate_file`"), _tls_file, alpha=("server.tls.cert.fromFile",),
           older=("tls-cert", "tls_cert")),
    Option("tls-key-file", Taken("`server.tls.key_file`"), _tls_file, alpha=("server.tls.key.fromFile",),
           older=("tls-key", "tls_key")),
    Option("tls-min-version", Instead(_TLS), alpha=("server.tls.minVersion", "metricsServer.tls.minVersion")),
    Option("tls-cipher-suite", Instead(_TLS), None, "list", key="tls_cipher_suites",
           alpha=("server.tls.cipherSuites", "metricsServer.tls.cipherSuites")),
    Option("metrics-address", Instead(_METRICS), alpha=("metricsServer.bindAddress",)),
    Option("metrics-secure-address", Instead(_METRICS),
           alpha=("metricsServer.secureBindAddress",)),
    Option("metrics-tls-cert-file", Instead(_METRICS),
           alpha=("metricsServer.tls.cert.fromFile",)),
    Option("metrics-tls-key-file", Instead(_METRICS),
           alpha=("metricsServer.tls.key.fromFile",)),
    Option("force-https", Instead(_HTTPS), none_if_on(_HTTPS, as_before="nothing is redirected to https"), "flag"),
    Option("reverse-proxy", Safer(_PROXIES), _reverse_proxy, "flag"),
    Option("trusted-proxy-ip", Taken("`server.trusted_proxies`, except networks that hold every address"),
           _trusted_proxies, "list", key="trusted_proxy_ips"),
    Option("real-client-ip-header", Instead("`X-Forwarded-For` of trusted proxies, read from the right"),
           _real_ip_header),
    Option("whitelist-domain", Safer("`server.origins` for each host that is named in full; a wildcard opens nothing"),
           _whitelist, "list", key="whitelist_domains"),
    Option("skip-jwt-bearer-tokens", Safer("`routes.accept_bearer`: access tokens for this audience, no ID tokens"),
           _bearer_tokens, "flag"),
    Option("extra-jwt-issuers", Instead("A table `[providers.NAME]`, named in `routes.accept_bearer`"), _extra_issuers,
           "list"),
    Option("bearer-token-login-fallback", Instead("A bearer token that is not valid gets 401; nobody is taken for "
                                                  "somebody else"), None, "flag"),
    Option("proxy-prefix", Taken("`/oauth2`, with `[compat] oauth2_proxy`; no other prefix"), _proxy_prefix),
    Option("ping-path", Taken("`/ping`, with `[compat] oauth2_proxy`"), _probe),
    Option("ready-path", Taken("`/ready`, with `[compat] oauth2_proxy`"), _probe),
    Option("ping-user-agent", Safer("No User-Agent opens anything: a client can send any")),
    Option("gcp-healthchecks", Taken("`server.public_health`"), _gcp, "flag"),
    Option("signature-key", Instead("`token = \"assertion\"`: a signed token that names person and audience; or "
                                    "`upstream_secret`")),
    Option("encode-state", Instead("`state` is short: the rest is in the store"), None, "flag"),
    Option("", Instead("Certificate and key are files: `server.tls`"),
           alpha=("server.tls.cert.value", "server.tls.cert.fromEnv", "server.tls.key.value", "server.tls.key.fromEnv",
                  "metricsServer.tls.cert.value", "metricsServer.tls.cert.fromEnv", "metricsServer.tls.key.value",
                  "metricsServer.tls.key.fromEnv")),
)  # fmt: skip
