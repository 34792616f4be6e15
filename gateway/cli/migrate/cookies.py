"""Options of cookies and sessions, and of the store that keeps sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, urlsplit

from gateway.cli.migrate.draft import Draft
from gateway.cli.migrate.options import (
    Given,
    Instead,
    Option,
    Outcome,
    Safer,
    Taken,
    none_if_off,
    unsafe_if_off,
    unsafe_if_on,
)
from gateway.faults import UsageFault

STORE_URL: Final = "store-url"
LEAST_SECONDS: Final = 60
USUAL_IDLE_SECONDS: Final = 3600
_OPAQUE: Final = "The cookie is an opaque number, and tokens stay on the server"


def _expire(given: Given, draft: Draft) -> Outcome:
    seconds = int(given.seconds)
    if seconds == 0:
        return draft.put(given, "session.cookie", "browser")
    seconds = max(seconds, LEAST_SECONDS)
    draft.put(given, "session.cookie", "persistent")
    if seconds < USUAL_IDLE_SECONDS:
        draft.put(given, "session.idle_seconds", seconds)
    draft.put(given, "session.absolute_seconds", seconds)
    return Taken(f'session.absolute_seconds = {seconds}, cookie = "persistent"; besides, an unused session ends')


def _same_site(given: Given, draft: Draft) -> Outcome:
    if given.text.lower() in ("", "lax"):
        return Taken("cookies are always SameSite=Lax")
    if given.text.lower() == "none":
        return Safer("Cookies are always SameSite=Lax: another site cannot make a browser send them")
    return Instead("Cookies are always SameSite=Lax; requests of other sites are refused besides (`csrf`)")


def _domains(given: Given, draft: Draft) -> Outcome:
    return Safer(
        "Each host has a cookie of its own, which no neighbour host gets. Name further hosts in server.origins: the "
        "provider signs people in there without asking again"
    )


def _store_type(given: Given, draft: Draft) -> Outcome:
    if given.text != "redis":
        draft.put(given, "store.url", "memory://")
        return Instead('Sessions are on the server: store.url = "memory://" for one process, Redis for several')
    return _put_store(given, draft)


def _put_store(given: Given, draft: Draft) -> Outcome:
    """Build `store.url` of all Redis options. It may hold a password, so it goes into a file."""
    try:
        url = store_url(draft)
    except ValueError:  # of an address; it may hold a password, so it is not shown
        raise UsageFault("redis_connection_url, or an address of a sentinel or the cluster, is not valid") from None
    return draft.put_secret(given, "store.url", url, file=STORE_URL)


def store_url(draft: Draft) -> str:
    """Build the address of the store in Vestibule's form.

    Raises:
        UsageFault: no address is given, or one that is not Redis over TCP.
    """
    if draft.is_on("redis_use_sentinel"):
        urls, scheme = draft.items("redis_sentinel_connection_urls"), "redis+sentinel"
        end = f"/{draft.text('redis_sentinel_master_name')}/0"
    elif draft.is_on("redis_use_cluster"):
        urls, scheme, end = draft.items("redis_cluster_connection_urls"), "redis+cluster", ""
    else:
        urls, scheme, end = (draft.text("redis_connection_url"),), "redis", ""
    parts = [urlsplit(url if "://" in url else f"redis://{url}") for url in urls if url]
    if not parts or any(part.scheme not in ("redis", "rediss") or not part.hostname for part in parts):
        raise UsageFault("session_store_type is redis, but there is no address redis://host:port to take over")
    is_tls = any(part.scheme == "rediss" for part in parts)
    if scheme == "redis":
        scheme, end = ("rediss" if is_tls else "redis"), f"/{parts[0].path.strip('/') or '0'}"
    usual = 26379 if scheme == "redis+sentinel" else 6379
    hosts = ",".join(f"{_bracketed(part.hostname or '')}:{part.port or usual}" for part in parts)
    user = draft.text("redis_username") or parts[0].username or ""
    password = draft.text("redis_password") or parts[0].password or ""
    login = f"{quote(user, safe='%')}:{quote(password, safe='%')}@" if user or password else ""
    return f"{scheme}://{login}{hosts}{end}{_query(draft, is_tls=is_tls and scheme.startswith('redis+'))}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _query(draft: Draft, *, is_tls: bool) -> str:
    pairs: Sequence[tuple[str, str]] = (
        ("tls", "true" if is_tls else ""),
        ("ca_file", str(draft.place(draft.text("redis_ca_path")).absolute()) if draft.text("redis_ca_path") else ""),
        ("sentinel_password", draft.text("redis_sentinel_password") if draft.is_on("redis_use_sentinel") else ""),
    )
    query = "&".join(f"{key}={quote(value, safe='/')}" for key, value in pairs if value)
    return f"?{query}" if query else ""


def _part_of_store(given: Given, draft: Draft) -> Outcome:
    if draft.text("session_store_type") != "redis":
        return Instead('Has no effect: session_store_type is not "redis". For Redis set store.url')
    return Taken(f"a part of store.url_file (secrets/{STORE_URL})")


def _idle_of_connections(given: Given, draft: Draft) -> Outcome:
    return Instead("Connections to Redis that the server closed are opened again by themselves")


_PREFIXED: Final = "The name is `__Host-vestibule`: no other host and no plain http can set or read it"
_CSRF: Final = "Each sign-in has a cookie of its own, so several tabs can sign in at once"
_PART: Final = Taken("A part of `store.url_file`, a new file with mode 600")
OPTIONS: Final = (
    Option("cookie-name", Instead(_PREFIXED)),
    Option("cookie-secret", Instead("A new key is made (`secrets.keys_file`): everybody signs in once more")),
    Option("cookie-secret-file", Instead("A new key is made (`secrets.keys_file`): everybody signs in once more")),
    Option("cookie-domain", Safer("Each host has a cookie of its own; name further hosts in `server.origins`"),
           _domains, "list", key="cookie_domains", older=("cookie_domain",)),
    Option("cookie-path", Instead("The path of the cookie is `/`, as `__Host-` demands")),
    Option("cookie-expire", Taken("`session.absolute_seconds` and `session.cookie`; besides, an unused session ends "
                                  "after `idle_seconds`"), _expire, "duration"),
    Option("cookie-refresh", Instead("A token is renewed shortly before it expires "
                                     "(`session.refresh_before_expiry_seconds`), once for all processes"), None,
           "duration"),
    Option("cookie-secure", Safer("Cookies are always `Secure`, but for plain http on loopback in development"),
           unsafe_if_off("Cookies are always Secure, but for plain http on loopback in development",
                     as_before="cookies are always Secure"), "flag"),
    Option("cookie-httponly", Safer("Cookies are always `HttpOnly`"),
           unsafe_if_off("Cookies are always HttpOnly: no script reads them",
                     as_before="cookies are always HttpOnly"), "flag"),
    Option("cookie-samesite", Safer("Cookies are always `SameSite=Lax`"), _same_site),
    Option("cookie-csrf-per-request", Taken(_CSRF),
           none_if_off(_CSRF, as_before="each sign-in has a cookie of its own"), "flag"),
    Option("cookie-csrf-per-request-limit", Instead("At most 20 sign-ins at a time in one browser"), None, "number"),
    Option("cookie-csrf-expire", Instead("`limits.login_seconds`, 600 by default"), None, "duration"),
    Option("cookie-csrf-samesite", Instead("`Lax`, or `None` for a provider with `form_post`")),
    Option("session-store-type", Taken("`store.url`; sessions are always on the server"), _store_type),
    Option("session-cookie-minimal", Taken(_OPAQUE), none_if_off(_OPAQUE, as_before=_OPAQUE), "flag"),
    Option("redis-connection-url", _PART, _part_of_store),
    Option("redis-username", _PART, _part_of_store),
    Option("redis-password", _PART, _part_of_store),
    Option("redis-use-sentinel", _PART, _part_of_store, "flag"),
    Option("redis-sentinel-master-name", _PART, _part_of_store),
    Option("redis-sentinel-password", _PART, _part_of_store),
    Option("redis-sentinel-connection-urls", _PART, _part_of_store, "list"),
    Option("redis-use-cluster", _PART, _part_of_store, "flag"),
    Option("redis-cluster-connection-urls", _PART, _part_of_store, "list"),
    Option("redis-ca-path", _PART, _part_of_store),
    Option("redis-insecure-skip-tls-verify", Safer("The certificate of Redis is always checked; `ca_file` in the "
                                                   "address names an authority of your own"),
           unsafe_if_on("The certificate of Redis is always checked", as_before="certificates are always checked"),
           "flag"),
    Option("redis-connection-idle-timeout", Instead("Closed connections are opened again by themselves"),
           _idle_of_connections, "number"),
)  # fmt: skip
