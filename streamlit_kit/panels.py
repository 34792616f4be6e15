"""Panels that stand where a page would: signed out, not allowed, out of reach. Markup only; what is shown is escaped.

Colours come from the theme by `currentColor`, so that a panel fits a light page, a dark one and a themed one alike.
"""

from __future__ import annotations

import re
from html import escape
from typing import Final
from urllib.parse import quote

from bff.contract import Identity

_ICONS: Final = {
    "door": "M6 21V4.5A1.5 1.5 0 0 1 7.5 3h9A1.5 1.5 0 0 1 18 4.5V21M3 21h18M14.25 12.5v.01",
    "shield": "M12 3l7.5 2.8v5.4c0 4.6-3.1 8.2-7.5 9.8-4.4-1.6-7.5-5.2-7.5-9.8V5.8L12 3zM9.6 9.6l4.8 4.8"
    "M14.4 9.6l-4.8 4.8",
    "cloud": "M7 18.5a4.2 4.2 0 0 1-.5-8.4 5.6 5.6 0 0 1 10.8-1.2 4.8 4.8 0 0 1 .2 9.6H7zM12 10.5v3.2M12 16v.01",
}
# `st.html` removes inline SVG, so an icon is a mask over the accent colour.
_SVG: Final = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='black' stroke-width='1.7' "
    "stroke-linecap='round' stroke-linejoin='round'><path d='{path}'/></svg>"
)

STYLE: Final = """
<style>
.vk-panel{max-width:34rem;margin:clamp(0rem,7vh - 1.5rem,5rem) auto 2rem;padding:clamp(1.5rem,5vw,2.75rem);
  border:1px solid color-mix(in srgb,currentColor 14%,transparent);border-radius:1rem;
  background:color-mix(in srgb,currentColor 3%,transparent);line-height:1.55;overflow-wrap:anywhere}
.vk-panel .vk-icon{display:grid;place-items:center;width:2.9rem;height:2.9rem;border-radius:.8rem;margin-bottom:1.1rem;
  background:color-mix(in srgb,var(--vk-accent) 13%,transparent)}
.vk-panel .vk-icon::before{content:"";width:1.6rem;height:1.6rem;
  background:color-mix(in srgb,var(--vk-accent) 72%,currentColor);
  -webkit-mask:var(--vk-icon) center/contain no-repeat;mask:var(--vk-icon) center/contain no-repeat}
.vk-panel h1{font-size:clamp(1.35rem,4.5vw,1.75rem);line-height:1.25;font-weight:650;margin:0 0 .5rem;padding:0;
  letter-spacing:-.01em}
.vk-panel p{margin:0 0 1rem;opacity:.82}
.vk-panel dl{display:grid;grid-template-columns:max-content 1fr;gap:.5rem 1.25rem;align-items:baseline;margin:1.35rem 0;
  padding:1rem 1.1rem;border-radius:.7rem;background:color-mix(in srgb,currentColor 5%,transparent);font-size:.925rem}
.vk-panel dt{opacity:.65;margin:0;padding:0;font-weight:400}
.vk-panel dd{margin:0;padding:0}
.vk-panel .vk-mail{opacity:.65}
.vk-panel .vk-role{display:inline-block;padding:.05rem .55rem;margin:0 .3rem .25rem 0;border-radius:1rem;
  border:1px solid color-mix(in srgb,currentColor 22%,transparent);font-size:.85rem}
.vk-panel .vk-note{font-size:.85rem;opacity:.65;margin:1.1rem 0 0}
.vk-actions{display:flex;flex-wrap:wrap;gap:.7rem;align-items:center;margin-top:1.35rem}
.vk-button,.vk-button:visited{display:inline-block;padding:.6rem 1.25rem;border-radius:.6rem;font-weight:600;
  text-decoration:none!important;line-height:1.4;background:var(--vk-accent);color:var(--vk-on-accent)!important;
  border:1px solid var(--vk-accent);font:inherit;font-weight:600;cursor:pointer}
.vk-button:hover{filter:brightness(.93)}
.vk-button:focus-visible,.vk-quiet:focus-visible{outline:3px solid color-mix(in srgb,var(--vk-accent) 45%,transparent);
  outline-offset:2px}
.vk-quiet,.vk-quiet:visited{display:inline-block;padding:.6rem 1rem;border-radius:.6rem;color:inherit!important;
  text-decoration:none!important;border:1px solid color-mix(in srgb,currentColor 22%,transparent);line-height:1.4}
.vk-quiet:hover{background:color-mix(in srgb,currentColor 6%,transparent)}
@media (max-width:30rem){.vk-panel dl{grid-template-columns:1fr;gap:.1rem}.vk-panel dd{margin-bottom:.6rem}
  .vk-panel dd:last-child{margin-bottom:0}.vk-actions .vk-button,.vk-actions .vk-quiet{flex:1 1 100%;text-align:center}}
</style>
"""

_HEX: Final = re.compile(r"#([0-9a-fA-F]{6})")
_DEFAULT_ACCENT: Final = "#3457d5"


def build_signed_out(login_url: str, *, message: str, accent: str) -> str:
    text = message or "This page is for people who are signed in. You come back to exactly this place afterwards."
    return _panel(
        "door",
        "Please sign in",
        f"<p>{escape(text)}</p>{_actions(_button(login_url, 'Sign in'))}",
        accent=accent,
        code=401,
    )


def build_forbidden(
    identity: Identity, roles: tuple[str, ...], *, account_url: str, logout_url: str, accent: str
) -> str:
    wanted = f"have the role {roles[0]}" if len(roles) == 1 else f"have one of the roles {', '.join(roles)}"
    rows = [
        ("Signed in as", _person(identity)),
        ("Your roles", _roles(identity.roles)),
        ("Needed", _roles(roles)),
    ]
    body = (
        f"<p>You are signed in, but this page is only for people who {escape(wanted)}.</p>{_list(rows)}"
        "<p>If you should have access, send the lines above to the people who run this application. "
        "If you have another account, sign out and use that one.</p>"
        f"{_actions(_quiet(account_url, 'Your account'), _quiet(logout_url, 'Sign out'))}"
    )
    return _panel("shield", "You do not have access to this page", body, accent=accent, code=403)


def build_refused(identity: Identity | None, *, reason: str, request_id: str, account_url: str, accent: str) -> str:
    """`reason` is the API's own line, shown as text."""
    rows = [("The service says", escape(reason))] if reason else []
    if identity is not None:
        rows += [("Signed in as", _person(identity)), ("Your roles", _roles(identity.roles))]
    body = (
        "<p>You are signed in, but the service does not allow you to do this.</p>"
        f"{_list(rows)}{_actions(_quiet(account_url, 'Your account'))}{_request(request_id)}"
    )
    return _panel("shield", "Not allowed", body, accent=accent, code=403)


def build_unavailable(message: str, *, request_id: str, accent: str, reason: str = "") -> str:
    """`reason` is the API's own line, shown as text."""
    rows = [("The service says", escape(reason))] if reason else []
    body = f"<p>{escape(message)}</p>{_list(rows)}{_request(request_id)}"
    return _panel("cloud", "Out of reach right now", body, accent=accent, code=503)


def build_broken_api(reason: str, *, accent: str) -> str:
    """The panel for the API's author under `vestibule dev`. The reason comes first, because they can fix it."""
    body = "<p>Save a Python file of the API, and it is started again. The terminal shows more.</p>"
    return _panel("cloud", reason, body, accent=accent, code=503)


def build_failed(message: str, *, code: int, request_id: str, accent: str, reason: str = "") -> str:
    """`reason` is the API's own line, shown as text."""
    rows = [("The service says", escape(reason))] if reason else []
    body = f"<p>{escape(message)}</p>{_list(rows)}{_request(request_id)}"
    return _panel("cloud", "That did not work", body, accent=accent, code=code)


def build_login_link(login_url: str, label: str, *, as_button: bool, accent: str) -> str:
    if not as_button:
        return f'<a href="{escape(login_url)}" target="_self" style="color:inherit">{escape(label)}</a>'
    return f"{STYLE}<span {_accent_style(accent)}>{_button(login_url, label)}</span>"


def build_logout_form(logout_url: str, *, everywhere: bool) -> str:
    """A form that submits itself, and a link to the confirmation page where a browser does not run the script."""
    field = '<input type="hidden" name="everywhere" value="1">' if everywhere else ""
    return (
        f'<form method="post" action="{escape(logout_url)}">{field}'
        '<p style="opacity:.7;font-size:.9rem">Signing out… '
        f'<a href="{escape(logout_url)}" target="_self">Nothing happens?</a></p></form>'
        "<script>document.currentScript.previousElementSibling.submit()</script>"
    )


def _panel(icon: str, title: str, body: str, *, accent: str, code: int) -> str:
    return (
        f'{STYLE}<section class="vk-panel" aria-label="{escape(title)}" data-code="{code}" {_accent_style(accent)}>'
        f"{_icon(icon)}<h1>{escape(title)}</h1>{body}</section>"
    )


def _icon(icon: str) -> str:
    image = quote(_SVG.format(path=_ICONS[icon]), safe="")
    return f'<span class="vk-icon" aria-hidden="true" style="--vk-icon:url(data:image/svg+xml,{image})"></span>'


def _accent_style(accent: str) -> str:
    colour = accent if _HEX.fullmatch(accent) else _DEFAULT_ACCENT
    return f'style="--vk-accent:{colour};--vk-on-accent:{_readable_on(colour)}"'


def _readable_on(colour: str) -> str:
    red, green, blue = (int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # White text while it reaches the 3:1 of WCAG 2.2 for bold text, black beyond.
    return "#ffffff" if 1.05 / (luminance + 0.05) >= 3 else "#111111"


def _button(url: str, label: str) -> str:
    return f'<a class="vk-button" href="{escape(url)}" target="_self">{escape(label)}</a>'


def _quiet(url: str, label: str) -> str:
    return f'<a class="vk-quiet" href="{escape(url)}" target="_self">{escape(label)}</a>'


def _actions(*links: str) -> str:
    return f'<div class="vk-actions">{"".join(links)}</div>'


def _list(rows: list[tuple[str, str]]) -> str:
    if not rows:
        return ""
    return "<dl>" + "".join(f"<dt>{escape(term)}</dt><dd>{value}</dd>" for term, value in rows) + "</dl>"


def _person(identity: Identity) -> str:
    name = identity.name or identity.preferred_username or identity.email or identity.sub
    if not identity.email or identity.email == name:
        return escape(name)
    return f'{escape(name)} <span class="vk-mail">{escape(identity.email)}</span>'


def _roles(roles: tuple[str, ...]) -> str:
    if not roles:
        return '<span class="vk-mail">none</span>'
    return "".join(f'<span class="vk-role">{escape(role)}</span>' for role in roles)


def _request(request_id: str) -> str:
    return f'<p class="vk-note">Request {escape(request_id)}</p>' if request_id else ""
