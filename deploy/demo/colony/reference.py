"""The API's page at /docs: lists all requests, on one page without scripts, so that it needs no other server. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
:root{{color-scheme:light dark}}
body{{font:16px/1.55 system-ui,sans-serif;max-width:52rem;margin:3rem auto;padding:0 1.2rem}}
table{{border-collapse:collapse;width:100%}}
th,td{{text-align:left;padding:.5rem .8rem .5rem 0;vertical-align:top;
border-bottom:1px solid color-mix(in srgb,currentColor 18%,transparent)}}
code{{font-size:.92em}}
</style>
<h1>{title}</h1>
<p>Version {version}. The whole description is <a href="openapi.json">openapi.json</a> (OpenAPI). Send a request from
a page of this application, or from a program with a token; this page only lists what there is.</p>
<table><thead><tr><th>Request<th>What it does<th>Body<th>Answers</thead>
<tbody>{rows}</tbody></table>
"""


def render_reference(description: Mapping[str, Any]) -> str:
    """Write the page for an OpenAPI description."""
    info = description["info"]
    rows = "".join(_rows(description["paths"]))
    return _PAGE.format(title=escape(info["title"]), version=escape(info["version"]), rows=rows)


def _rows(paths: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            cells = (
                f"<code>{method.upper()} {escape(path)}</code>",
                escape(operation.get("summary", "")),
                f"<code>{escape(body['$ref'].rpartition('/')[2])}</code>" if "$ref" in body else "",
                escape(", ".join(operation["responses"])),
            )
            yield f"<tr>{''.join(f'<td>{cell}' for cell in cells)}"
