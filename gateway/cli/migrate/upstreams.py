"""Options of the servers behind oauth2-proxy, and of the paths that need no sign-in."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from gateway.cli.migrate.draft import Draft, OpenPath, Upstream
from gateway.cli.migrate.options import Given, Instead, Option, Outcome, Safer, Taken, none_if_off, unsafe_if_on
from gateway.cli.migrate.patterns import read_pattern
from gateway.cli.migrate.values import Raw, read_flag, read_seconds
from gateway.faults import UsageFault
from gateway.targets import parse_target

_METHODS: Final = re.compile(r"(?P<methods>[A-Z]+)(?P<unless>!)?=(?P<pattern>.*)")
_REWRITE: Final = re.compile(r"\^(?P<path>/[A-Za-z0-9_/-]*/)\(\.\*\)\$?")
_STATIC: Final = "No answer is made up here: with no upstream, another proxy asks (`[forward_auth]`)"
_FILES: Final = "Files are not served here: let nginx or Caddy serve them, as the upstream of a route"
_CERTIFICATES: Final = "Certificates of upstreams are always checked; `routes.ca_file` names an authority of your own"
_FIELDS: Final = frozenset(
    {"id", "path", "rewriteTarget", "uri", "insecureSkipTLSVerify", "static", "staticCode", "flushInterval"}
    | {"passHostHeader", "proxyWebSockets", "timeout", "disableKeepAlives"}
)


def _upstreams(given: Given, draft: Draft) -> Outcome:
    """Read the addresses of the command line: the path of an address is the path it serves."""
    taken, left = [], []
    for text in given.items:
        url = urlsplit(text)
        if url.scheme == "file":
            left.append("file://")
        elif url.scheme == "static":
            left.append("static://")
        else:
            path = "/" if url.scheme == "unix" else unquote(url.path) or "/"
            taken.append(_add(draft, given, path, text, {}))
    if not left:
        return Taken("; ".join(taken))
    why = " ".join(f"{text}." for text, scheme in ((_FILES, "file://"), (_STATIC, "static://")) if scheme in left)
    return Instead("; ".join([*taken, why]), is_open="file://" in left)


def _add(draft: Draft, given: Given, path: str, uri: str, keys: dict[str, Any]) -> str:
    """Add a server at `path` and say so. The path of its address says where it is served, not where it begins."""
    target = uri if uri.startswith("unix:") else uri.partition("://")[0] + "://" + urlsplit(uri).netloc
    try:
        parse_target(target)
    except ValueError as exc:
        raise UsageFault(f"{given.source}: {exc}") from None
    is_exact = not path.endswith("/")
    same = [one for one in draft.upstreams if one.path.rstrip("/") == path.rstrip("/")]
    if any(one.target != target or one.path == path for one in same):
        raise UsageFault(f"{given.source}: two servers at {path}; a route has one place, so keep one of them")
    if same:  # the path itself, and all below it, at one server
        draft.upstreams.remove(same[0])
        is_exact = False
    draft.upstreams.append(Upstream(path, target, is_exact, keys))
    return f"the route {path}" + (", only that path" if is_exact else "")


def _structured_upstream(given: Given, draft: Draft) -> Outcome:
    """Read one upstream of the alpha configuration."""
    fields = given.fields
    if unknown := sorted(fields.keys() - _FIELDS):
        raise UsageFault(f"{given.source}: oauth2-proxy has no field {', '.join(unknown)} there; correct it")
    uri, path, rewrite = given.word("uri"), given.word("path", "/"), given.word("rewriteTarget")
    if _is_on(given, fields, "static"):
        return Instead(_STATIC)
    if uri.startswith("file:"):
        return Instead(_FILES, is_open=True)
    keys: dict[str, Any] = {}
    if rewrite:
        plain = _REWRITE.fullmatch(path)
        if plain is None or rewrite != "/$1":
            return Instead(
                f"A path is sent on as it is, or without the prefix of its route (strip_prefix). {path} has no "
                "route: add one",
                is_open=True,
            )
        path, keys = plain["path"], {"strip_prefix": True}
    elif path.startswith("^") or not path.startswith("/"):
        return Instead(f"A route has a plain path. {path} has no route: add one", is_open=True)
    if fields.get("timeout") is not None:
        keys["timeouts"] = {"first_byte": _seconds(given, fields["timeout"])}
    says = _add(draft, given, path, uri, keys)
    return Safer(f"{says}. {_CERTIFICATES}") if _is_on(given, fields, "insecureSkipTLSVerify") else Taken(says)


def _is_on(given: Given, fields: Any, name: str) -> bool:
    try:
        return read_flag(fields.get(name) or False)
    except ValueError as exc:
        raise UsageFault(f"{given.source}.{name}: {exc}") from None


def _seconds(given: Given, raw: Raw) -> float:
    try:
        return read_seconds(raw)
    except ValueError as exc:
        raise UsageFault(f"{given.source}.timeout: {exc}") from None


def _timeout(given: Given, draft: Draft) -> Outcome:
    return draft.put(given, "routes.timeouts", {"first_byte": given.seconds})


def _raw_path(given: Given, draft: Draft) -> Outcome:
    if not given.is_on:
        return Taken("an encoded slash is refused")
    return draft.put(given, "routes.encoded_slashes", True)


def _skip_auth_routes(given: Given, draft: Draft) -> Outcome:
    """Open the paths whose patterns are plain. All others stay closed."""
    opened, left = [], []
    for entry in given.items:
        with_method = _METHODS.fullmatch(entry) if given.option.name == "skip_auth_routes" else None
        pattern = with_method["pattern"] if with_method else entry
        methods = (with_method["methods"],) if with_method else ()
        is_plain = not pattern.startswith("!") and not (with_method and with_method["unless"])
        paths = [OpenPath(one.path, one.is_exact, methods) for one in (read_pattern(pattern) if is_plain else ())]
        added = [one for one in paths if _open(draft, one)]
        opened += added
        if not added:
            left.append(entry)
    says = f'open without sign-in (auth = "optional"): {"; ".join(map(str, opened))}' if opened else ""
    if not left:
        return Taken(says)
    shut = (
        f"Closed, because a route has a plain path: {', '.join(left)}. A pattern fits in places that nobody meant; add "
        "routes for the paths that you mean"
    )
    return Safer(f"{says}. {shut}" if says else shut, is_open=True)


def _open(draft: Draft, path: OpenPath) -> bool:
    """Open a path, unless that is everything, no server is behind it, or another route has its place."""
    if not path.key or not (not draft.upstreams or any(one.holds(path.path) for one in draft.upstreams)):
        return False
    same = [one for one in draft.upstreams if one.path.rstrip("/") == path.key]
    if same and (path.methods or same[0].is_exact != path.is_exact or same[0].path != path.path):
        return False
    before = draft.open_paths.get(path.key, path)
    methods = () if not (before.methods and path.methods) else tuple(dict.fromkeys((*before.methods, *path.methods)))
    if before.is_exact == path.is_exact and (before.path == path.path or not path.is_exact):
        draft.open_paths[path.key] = OpenPath(before.path, path.is_exact, methods)
        return True
    if before.is_exact != path.is_exact and before.methods == path.methods:
        draft.open_paths[path.key] = OpenPath(path.path, False, methods)  # the path, and all below it
        return True
    return False


_WEBSOCKETS: Final = "WebSockets pass on every route, with the same rules as requests"
_HOST: Final = "The Host header passes, as people typed it"
OPTIONS: Final = (
    Option("upstream", Taken("One `[[routes]]` for each path, with `upstream`. `file://` and `static://` have no "
                             "counterpart"), _upstreams, "list", key="upstreams"),
    Option("", Taken("One `[[routes]]` for each; `rewriteTarget = \"/$1\"` becomes `strip_prefix`"),
           _structured_upstream, "table", alpha=("upstreamConfig.upstreams", "upstreams")),
    Option("", Taken("`routes.encoded_slashes`"), _raw_path, "flag", alpha=("upstreamConfig.proxyRawPath",)),
    Option("upstream-timeout", Taken("`routes.timeouts.first_byte`"), _timeout, "duration"),
    Option("flush-interval", Instead("Answers pass on at once, without a buffer"), None, "duration"),
    Option("pass-host-header", Taken(_HOST), none_if_off(f"{_HOST}: the upstream must answer for it",
                                                     as_before="the Host header passes"), "flag"),
    Option("proxy-websockets", Taken(_WEBSOCKETS),
           none_if_off(_WEBSOCKETS, as_before="WebSockets pass on every route"), "flag"),
    Option("ssl-upstream-insecure-skip-verify", Safer(_CERTIFICATES),
           unsafe_if_on(_CERTIFICATES, as_before="certificates of upstreams are always checked"), "flag",
           older=("ssl-upstream-insecure-skip-validation",)),
    Option("disable-keep-alives", Instead("Connections to upstreams are kept and used again"), None, "flag"),
    Option("skip-auth-route", Taken("`[[routes]]` with `auth = \"optional\"`, if the pattern is a plain path or a "
                                    "plain beginning; all others stay closed"), _skip_auth_routes, "list",
           key="skip_auth_routes"),
    Option("skip-auth-regex", Safer("As `skip_auth_routes`: plain paths are opened, all others stay closed"),
           _skip_auth_routes, "list"),
    Option("api-route", Instead("Every request that is not a page gets 401 as JSON. A route of kind `api` never "
                                "redirects"), None, "list", key="api_routes"),
    Option("skip-auth-preflight", Safer("`routes.cors_origins`: a preflight of these origins is answered here, and no "
                                        "other request passes without sign-in"),
           unsafe_if_on("Name the origins in routes.cors_origins: their preflights are answered here. No OPTIONS "
                           "request passes without sign-in", as_before="OPTIONS needs a sign-in"), "flag"),
    Option("force-json-errors", Instead("A page gets a page, everything else JSON (`application/problem+json`); a "
                                        "route of kind `api` gives only JSON"), None, "flag"),
    Option("allow-query-semicolons", Taken("A query passes byte for byte"), None, "flag"),
)  # fmt: skip
