"""The look that all pages share: logo, page head, cards of figures. Colours are in .streamlit/config.toml."""

from __future__ import annotations

from html import escape
from typing import Final

import streamlit as st

# Charts have one set of colours. It can be seen well on light and on dark pages.
SPECIES_COLOURS: Final = {"Adelie": "#E07A1F", "Chinstrap": "#9467C2", "Gentoo": "#148A94"}
ACCENT: Final = "#17888E"
ALARM: Final = "#D9541E"
QUIET: Final = "#71848C"
FAINT: Final = "rgba(128, 150, 150, 0.25)"

_BIRD: Final = (
    '<path d="M16 3c-4.4 0-7 3.2-7 8.2 0 2-2.7 5.2-2.7 9.3 0 .9.9 1.2 1.5.5l1.5-1.6C9.7 25 12.4 29 16 29s6.3-4 '
    '6.7-9.6l1.5 1.6c.6.7 1.5.4 1.5-.5 0-4.1-2.7-7.3-2.7-9.3C23 6.2 20.4 3 16 3z" fill="#2E8B8B"/>'
    '<path d="M16 12c-3 0-4.7 2.8-4.7 7.4S13.4 27 16 27s4.7-3 4.7-7.6S19 12 16 12z" fill="#fff"/>'
    '<circle cx="13.2" cy="9" r="1.1" fill="#fff"/><circle cx="18.8" cy="9" r="1.1" fill="#fff"/>'
    '<path d="M14.2 10.8h3.6L16 13.8z" fill="#F08A3C"/>'
)
ICON: Final = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">{_BIRD}</svg>'
LOGO: Final = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 132 32">{_BIRD}'
    '<text x="36" y="23" font-family="Georgia, serif" font-size="21" fill="#E6EFEE">Rookery</text></svg>'
)

_STYLE: Final = """
<style>
.stMainBlockContainer{max-width:68rem;padding-top:3.6rem;padding-bottom:4rem}
.rk-head{margin-bottom:.4rem}
.rk-head .over{font-size:.78rem;letter-spacing:.09em;text-transform:uppercase;font-weight:600;margin:0;
  color:light-dark(#0B6E74,#7FD1C7)}
.rk-head h1{font-family:"Source Serif","Source Serif 4",Georgia,serif;font-weight:600;
  font-size:clamp(1.75rem,4.6vw,2.5rem);line-height:1.15;padding:.25rem 0 .45rem;margin:0;letter-spacing:-.015em}
.rk-head .lead{font-size:1.06rem;line-height:1.55;max-width:44rem;margin:0;color:light-dark(#3E5058,#B4C6C8)}
.rk-account,.rk-account:visited{color:inherit!important;font-size:.875rem;opacity:.85}
.st-key-figures>*{flex:1 1 0!important;min-width:8rem}
@media (max-width:640px){.stMainBlockContainer{padding-left:1.1rem;padding-right:1.1rem}
  .st-key-figures>*{flex:1 1 40%!important;min-width:40%!important}}
</style>
"""


def apply_style() -> None:
    """Apply the style; call this once per run, before the page."""
    st.html(_STYLE)
    st.logo(LOGO, icon_image=ICON, size="large")


def page_head(over: str, title: str, lead: str) -> None:
    """A page's heading: a line over it, the title, one sentence."""
    st.html(
        f'<header class="rk-head"><p class="over">{escape(over)}</p><h1>{escape(title)}</h1>'
        f'<p class="lead">{escape(lead)}</p></header>'
    )


def figures(*pairs: tuple[str, str], help: str | None = None) -> None:
    """Show the page's row of labelled figures. A page has one. Narrow screens show two beside each other."""
    with st.container(horizontal=True, key="figures"):
        for label, value in pairs:
            st.metric(label, value, border=True, help=help, width="stretch")


def grouped(number: float) -> str:
    """1234567 → 1 234 567, with spaces that do not break."""
    return f"{number:,.0f}".replace(",", "\u202f")


def duration(seconds: float) -> str:
    """`1 h 05 min`, `12 min 30 s`, `9 s`."""
    whole = max(0, int(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
