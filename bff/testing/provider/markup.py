"""HTML pages as trees, so that text cannot become markup. They look like Vestibule's own pages and fetch nothing."""

from __future__ import annotations

import secrets
from functools import cache
from pathlib import Path
from xml.etree.ElementTree import Element, tostring

from bff.testing.provider.messages import Reply

STYLES = (Path(__file__).parents[2] / "web" / "pages" / "style.css", Path(__file__).with_name("style.css"))
ARCH = "M6 37V15C6 8 12 3 20 3s14 5 14 12v22", "M13 37V17c0-4 3-7 7-7s7 3 7 7v20", "M2 37h36"


def node(tag: str, *content: Element | str, **attributes: str) -> Element:
    """Make an element. `class_` and `aria_label` become `class` and `aria-label`."""
    names = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    element = Element(tag, names)
    for part in content:
        if isinstance(part, Element):
            element.append(part)
        elif len(element):
            element[-1].tail = (element[-1].tail or "") + part
        else:
            element.text = (element.text or "") + part
    return element


def button(text: str, *, kind: str = "", **attributes: str) -> Element:
    return node("button", text, **{"class": f"button {kind}".strip(), "type": "submit"} | attributes)


def render(
    title: str,
    *content: Element,
    status: int = 200,
    width: str = "",
    mark: str = "",
    headers: tuple[tuple[str, str], ...] = (),
) -> Reply:
    """Make a whole page, with its title as the heading. It is not cached, not framed, and has no script."""
    nonce = secrets.token_urlsafe(16)
    head = node(
        "head",
        node("meta", charset="utf-8"),
        node("meta", name="viewport", content="width=device-width, initial-scale=1"),
        node("meta", name="robots", content="noindex"),
        node("title", title),
        node("style", _style(), nonce=nonce),
    )
    body = node("body", node("main", _arch(mark), node("h1", title), *content, class_=width))
    html = "<!doctype html>\n" + tostring(node("html", head, body, lang="en"), encoding="unicode", method="html")
    return Reply(status, (*_headers(nonce), *headers), html.encode("utf-8", "replace"))


def _headers(nonce: str) -> tuple[tuple[str, str], ...]:
    """`form-action` is left open: browsers apply it to the redirect to the client too."""
    policy = f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'"
    return (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", policy),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "same-origin"),
    )


@cache
def _style() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in STYLES)


def _arch(mark: str) -> Element:
    """Return the logo, as in `bff/web/pages/base.html`."""
    drawing = {"viewBox": "0 0 40 40", "fill": "none", "stroke": "currentColor", "stroke-width": "2.6"}
    return node(
        "svg",
        *(node("path", d=line) for line in ARCH),
        **drawing | {"stroke-linejoin": "round", "class": f"mark {mark}".strip(), "aria-hidden": "true"},
    )
