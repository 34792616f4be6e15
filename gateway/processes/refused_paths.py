"""Notice in what a separated page prints that it was refused a path, and say how to allow it."""

from __future__ import annotations

import os
import re

REFUSED = re.compile(r"\b(?:PermissionError: \[Errno 13\]|FileNotFoundError: \[Errno 2\]) [^:]+: '([^']+)'")
ALLOWED_BY = "streamlit.read or streamlit.write"
MOST_SAID = 20


class RefusedPaths:
    """Finds refused paths in lines. `allowed_by` names what allows a path; each path is named once."""

    def __init__(self, folder: str, *, allowed_by: str) -> None:
        self._folder = folder
        self._allowed_by = allowed_by
        self._said: set[str] = set()

    def look(self, line: str) -> str:
        """Return the path that `line` says was refused, "" if there is none or it was named before.

        A file that is there, but that the page did not find, lies in a folder that is closed to the page.
        """
        found = REFUSED.search(line)
        if found is None:
            return ""
        path = os.path.join(self._folder, found[1])
        is_ours = "PermissionError" in found[0] or os.path.exists(path)  # it raises for nothing that a page prints
        if not is_ours or path in self._said or len(self._said) >= MOST_SAID:
            return ""
        self._said.add(path)
        return path

    @property
    def fix(self) -> str:
        return f"it may open only its own folder; allow more with {self._allowed_by}"
