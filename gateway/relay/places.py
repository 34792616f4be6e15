"""Which upstream of several a request belongs to, read from the request; and the cookie that keeps it there.

A signed-in person belongs by their session. A visitor who is not signed in belongs by the token in Streamlit's XSRF
cookie, which Streamlit sets before a page opens its WebSocket; without one, by their address.
"""

from __future__ import annotations

import hashlib

from bff import contract
from bff.browser.cookies import DuplicateCookie, build_set_cookie, cookie_headers, find_cookie
from bff.browser.request_facts import wants_page
from bff.settings.tables import RouteSettings
from gateway.access.credentials import Caller
from gateway.access.request import Incoming
from gateway.headers.request import RawHeaders
from gateway.streamlit.paths import is_stream
from gateway.streamlit.sessions import CLAIM, browser_tokens
from gateway.upstream.choice import RouteUpstreams, Upstream
from gateway.upstream.place import Place


def find_place(incoming: Incoming, caller: Caller, chosen: RouteUpstreams) -> Place:
    """Return where the request belongs."""
    if caller.live is not None:
        visitor = caller.live.session.name
    elif not chosen.keeps_places:
        return Place(incoming.facts.address)
    else:
        visitor = ",".join(browser_tokens(incoming)) or incoming.facts.address
    if not chosen.keeps_places:
        return Place(visitor)
    name = _cookie_name(chosen.route, secure=incoming.facts.urls.is_secure)
    try:
        mark = find_cookie(cookie_headers(incoming.headers), name)
    except DuplicateCookie:
        mark = None
    return Place(visitor, mark or "")


def settling_headers(incoming: Incoming, place: Place, chosen: RouteUpstreams, used: Upstream) -> RawHeaders:
    """Return the cookie that keeps a page at the upstream that it got; [] if nothing changes.

    The page's WebSocket decides. A navigation decides only if it could not go where the page belongs.
    """
    if not chosen.keeps_places or place.is_at(used.name):
        return []
    if incoming.scope["type"] != "websocket" and not _moved(incoming, place, chosen, used):
        return []
    secure = incoming.facts.urls.is_secure
    cookie = build_set_cookie(_cookie_name(chosen.route, secure=secure), place.mark_of(used.name), secure=secure)
    return [(b"set-cookie", cookie.encode("ascii"))]


def has_lost_its_session(incoming: Incoming, place: Place, chosen: RouteUpstreams, used: Upstream) -> bool:
    """True for a Streamlit page that reconnects to another upstream than before, where its session is unknown.

    Streamlit's script does not notice: it would show the old results until somebody acts.
    """
    resumes = is_stream(incoming.path) and len(incoming.scope["subprotocols"]) > CLAIM
    return chosen.keeps_places and resumes and bool(place.mark) and not place.is_at(used.name)


def _moved(incoming: Incoming, place: Place, chosen: RouteUpstreams, used: Upstream) -> bool:
    is_navigation = wants_page(incoming.facts.fetch, incoming.headers)
    return is_navigation and chosen.first_choice(place).name != used.name


def _cookie_name(route: RouteSettings, *, secure: bool) -> str:
    prefix = contract.PLACE_COOKIE_PREFIX if secure else contract.INSECURE_PLACE_COOKIE_PREFIX
    return prefix + hashlib.sha256(route.id.encode()).hexdigest()[:8]
