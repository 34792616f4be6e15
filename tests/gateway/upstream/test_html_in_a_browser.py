"""Odd documents in Chromium, as their upstream gives them and as the front door does: they must mean the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from gateway.documents.text_encodings import family_of
from tests.fakes import FakeProvider, Options, RecordingUpstream
from tests.front_door import RunningDoor, page_route, running_door
from tests.gateway.upstream.odd_documents import DOCUMENTS, MARK, UNNAMED, OddDocument

pytestmark = pytest.mark.component("chromium")

FLAGS: Final = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
HARNESS: Final = b"<!doctype html><html><body></body></html>"
READ: Final = """(view) => {
  const inside = view.document;
  const scripts = [...inside.querySelectorAll('script[src="/auth/guard.js"]')];
  const isFirst = scripts.length === 1 && inside.head.firstChild === scripts[0];
  const marks = [...(view.marks || [])];
  for (const script of scripts) script.remove();
  return {
    scripts: scripts.length, isFirst,
    seen: {
      document: inside.documentElement && inside.documentElement.outerHTML,
      around: [...inside.childNodes].map((node) => [node.nodeName, node.data, node.publicId, node.systemId]),
      mode: inside.compatMode, charset: inside.characterSet, marks,
    },
  };
}"""
LOAD_ALL: Final = (
    """async (paths) => {
  const read = """
    + READ
    + """;
  const load = (path) => new Promise((resolve) => {
    const frame = document.createElement("iframe");
    frame.onload = () => { resolve(read(frame.contentWindow)); };
    frame.src = path;
    document.body.append(frame);
  });
  const found = [];
  for (let at = 0; at < paths.length; at += 16) found.push(...await Promise.all(paths.slice(at, at + 16).map(load)));
  return found;
}"""
)


def address(document: OddDocument) -> str:
    return f"/odd/{DOCUMENTS.index(document)}"


@pytest.fixture(scope="module")
def upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as running:
        for document in DOCUMENTS:
            running.respond(address(document), headers=[("Content-Type", document.content_type)], body=document.body)
        running.respond("/harness", headers=[("Content-Type", "text/html; charset=utf-8")], body=HARNESS)
        yield running


@pytest.fixture(scope="module")
def door(upstream: RecordingUpstream) -> Iterator[RunningDoor]:
    with FakeProvider(auto_login="alice") as provider:
        provider.options = Options(auto_login="alice")
        with running_door({"corp": provider}, [page_route(upstream)]) as running:
            yield running


@pytest.fixture(scope="module")
def context(component: Callable[[str], Path]) -> Iterator[BrowserContext]:
    with sync_playwright() as playwright:
        browser: Browser = playwright.chromium.launch(executable_path=str(component("chromium")), args=FLAGS)
        opened = browser.new_context(accept_downloads=True)
        opened.set_default_timeout(20_000)
        yield opened
        browser.close()


@pytest.fixture(scope="module")
def tab(context: BrowserContext, door: RunningDoor) -> Page:
    """A tab of somebody who has signed in."""
    page = context.new_page()
    page.goto(f"{door.url}/harness")
    assert page.url == f"{door.url}/harness"
    return page


def load(page: Page, origin: str) -> dict[str, dict[str, Any]]:
    """Every document as Chromium understood it, by its id.

    If nothing names the encoding, a frame uses the encoding of the page around it. So such documents are shown without
    a frame.
    """
    framed = [document for document in DOCUMENTS if document.content_type != UNNAMED]
    page.goto(f"{origin}/harness")
    found = dict(
        zip(
            [document.id for document in framed],
            page.evaluate(LOAD_ALL, [address(document) for document in framed]),
            strict=True,
        )
    )
    for document in DOCUMENTS:
        if document.content_type == UNNAMED:
            page.goto(origin + address(document))
            found[document.id] = page.evaluate(f"({READ})(window)")
    return found


@pytest.fixture(scope="module")
def plain(context: BrowserContext, upstream: RecordingUpstream) -> dict[str, dict[str, Any]]:
    return load(context.new_page(), upstream.url)


@pytest.fixture(scope="module")
def passed(tab: Page, door: RunningDoor) -> dict[str, dict[str, Any]]:
    return load(tab, door.url)


@pytest.mark.parametrize("odd", [pytest.param(document, id=document.id) for document in DOCUMENTS])
def test_a_document_is_parsed_the_same_with_and_without_the_script(
    odd: OddDocument, plain: dict[str, dict[str, Any]], passed: dict[str, dict[str, Any]]
) -> None:
    without, through = plain[odd.id], passed[odd.id]
    assert without["scripts"] == 0
    assert through["seen"] == without["seen"]
    assert "attack" not in through["seen"]["marks"]
    assert (through["scripts"], through["isFirst"]) == (int(odd.gets_script), odd.gets_script)


def test_the_test_documents_run_their_scripts_in_the_browser(plain: dict[str, dict[str, Any]]) -> None:
    assert plain["plain document"]["seen"]["marks"] == ["script"]
    assert plain["body at once"]["seen"]["marks"] == ["load"]
    assert sum(bool(found["seen"]["marks"]) for found in plain.values()) > 60


def labels() -> list[str]:
    """Every encoding label that allows the script, and the most similar other ones."""
    parts = [*range(1, 12), 13, 14, 15]
    latin = [f"{name}{part}" for name in ("iso-8859-", "iso_8859-", "iso8859-", "iso8859") for part in parts]
    windows = [f"{name}{part}" for name in ("windows-", "cp", "x-cp") for part in range(1250, 1259)]
    short = [f"{name}{part}" for name in ("l", "latin") for part in range(1, 7)]
    others = """utf-8 utf8 ascii us-ascii iso-8859-16 windows-874 koi8-r koi8-u ibm866 cp866 macintosh x-mac-cyrillic
        tis-620 big5 big5-hkscs euc-jp euc-kr gb18030 gb2312 gbk ks_c_5601-1987 shift-jis shift_jis sjis windows-31j
        windows-949 x-euc-jp x-gbk x-sjis"""
    near = """utf-16 utf-16le utf-16be unicode ucs-2 iso-10646-ucs-2 iso-2022-jp csiso2022jp hz-gb-2312 iso-2022-kr
        iso-2022-cn replacement utf-7 utf-32 cp037 iso-8859-12 utf-8-sig iso-88591"""
    return [*latin, *windows, *short, *others.split(), *near.split()]


def test_browsers_read_encoding_labels_as_the_gateway_does(tab: Page) -> None:
    script = "labels => labels.map(l => { try { return new TextDecoder(l).encoding } catch { return '' } })"
    names = dict(zip(labels(), tab.evaluate(script, labels()), strict=True))
    multi_byte = {"big5", "euc-jp", "euc-kr", "gb18030", "gbk", "shift_jis"}
    without_ascii = {"", "utf-16le", "utf-16be", "iso-2022-jp"}
    for label, name in names.items():
        kind = "utf-8" if name == "utf-8" else "multi-byte" if name in multi_byte else "single-byte"
        assert family_of(label) == (None if name in without_ascii else kind), label


def policy_page(policy: str) -> dict[str, Any]:
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", policy)]
    body = b"<!doctype html><html><head><script nonce='abc'>window.own = 1</script></head><body>x</body>"
    return {"headers": headers, "body": body}


@pytest.mark.parametrize(
    ("policy", "runs"),
    [
        ("script-src 'nonce-abc'", True),
        ("script-src 'nonce-abc' 'strict-dynamic'; object-src 'none'", True),
        ("default-src 'self' 'nonce-abc'", True),
        ("script-src 'nonce-abc'; script-src-elem 'self' 'nonce-abc'", True),
        ("script-src 'nonce-abc', default-src 'self' 'unsafe-inline'", True),
        ("script-src 'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='", False),
        ("script-src 'none'", False),
        ("default-src https://cdn.example", False),
        ("script-src 'self' 'strict-dynamic' 'nonce-'", False),
        ("sandbox allow-same-origin", False),
        ("sandbox allow-scripts", False),
        ("connect-src 'none'", False),
        ("script-src 'nonce-abc', script-src 'nonce-def'", False),
    ],
)
def test_chromium_loads_the_inserted_script_and_reports_no_error(
    tab: Page, door: RunningDoor, upstream: RecordingUpstream, policy: str, *, runs: bool
) -> None:
    upstream.respond("/policy", **policy_page(policy))
    said: list[str] = []
    loaded: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("requestfinished", lambda request: loaded.append(request.url))
    tab.goto(f"{door.url}/policy", wait_until="networkidle")
    assert (f"{door.url}/auth/guard.js" in loaded) is runs
    assert not [text for text in said if "guard.js" in text or "/auth/session" in text]


def test_a_downloaded_document_is_saved_unchanged(
    tab: Page, door: RunningDoor, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    report = b"<!doctype html><html><head><title>Report</title></head></html>"
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Disposition", 'attachment; filename="r.html"')]
    upstream.respond("/report", headers=headers, body=report)
    upstream.respond("/plain-report", headers=headers[:1], body=report)
    body = MARK + b"<a id=attached href=/report>r</a> <a id=named href=/plain-report download>r</a>"
    upstream.respond("/reports", headers=headers[:1], body=body)
    tab.goto(f"{door.url}/reports")
    for link in ("attached", "named"):
        with tab.expect_download() as waiting:
            tab.click(f"#{link}")
        waiting.value.save_as(tmp_path / link)
        assert (tmp_path / link).read_bytes() == report, link
