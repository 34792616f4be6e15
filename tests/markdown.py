"""What tests need to know of a Markdown page: headings with their anchors, links, tables, fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})\s*([\w+-]*)")
HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
LINK = re.compile(
    r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\)|<(?:img|a)\s[^>]*?(?:src|href)=\"([^\"]+)\""
)
SKIP_MARK = "<!-- test: skip -->"


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, its text, the line it starts in; `skipped` by `<!-- test: skip -->` above it."""

    language: str
    text: str
    line: int
    skipped: bool


def blocks_of(page: str) -> Iterator[Block]:
    lines = page.splitlines()
    fence, language, start = "", "", 0
    for number, line in enumerate(lines):
        match = FENCE.match(line)
        if not fence and match:
            fence, language, start = match[1], match[2], number
        elif fence and line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            above = next((text.strip() for text in reversed(lines[:start]) if text.strip()), "")
            yield Block(language, "\n".join(lines[start + 1 : number]) + "\n", start + 1, above == SKIP_MARK)
            fence = ""


def prose_of(page: str) -> str:
    """The page without its fenced blocks."""
    kept: list[str] = []
    fence = ""
    for line in page.splitlines():
        match = FENCE.match(line)
        if not fence and match:
            fence = match[1]
        elif fence:
            fence = "" if line.strip() == fence else fence
        else:
            kept.append(line)
    return "\n".join(kept)


def sections_of(page: str) -> Iterator[tuple[str, str]]:
    """(heading, text up to the next heading of any depth), fences left out."""
    heading, text = "", list[str]()
    for line in prose_of(page).splitlines():
        match = HEADING.match(line)
        if match:
            yield heading, "\n".join(text)
            heading, text = match[2], []
        else:
            text.append(line)
    yield heading, "\n".join(text)


def anchors_of(page: str) -> set[str]:
    """The anchors GitHub gives to the headings, and explicit `<a id=…>`."""
    anchors: set[str] = set()
    for heading, _ in sections_of(page):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        number = sum(1 for anchor in anchors if anchor == slug or re.fullmatch(re.escape(slug) + r"-\d+", anchor))
        anchors.add(f"{slug}-{number}" if number else slug)
    return anchors | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", page))


def links_of(page: str) -> set[str]:
    return {first or second for first, second in LINK.findall(re.sub(r"`[^`\n]*`", "", prose_of(page)))}


def rows_of(text: str) -> Iterator[list[str]]:
    """Cells of the table rows in `text`, without the head and its rule."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for number, row in enumerate(rows):
        is_head = number + 1 < len(rows) and re.fullmatch(r"[|\s:-]+", rows[number + 1])
        if not is_head and not re.fullmatch(r"[|\s:-]+", row):
            yield [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
