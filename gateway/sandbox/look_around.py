"""Report what a program can reach in its sandbox. It runs there with the page's own Python, before the page starts.

    python -I -S look_around.py < {"read": […], "write": […], "secret": […]}

Prints JSON: which paths of `read` and `write` cannot be reached, which of `secret` can, and facts about the process.
"""

from __future__ import annotations

import json
import os
import sys


def can_read(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        if os.path.isdir(path):
            os.listdir(path)
    except OSError:
        return False
    return True


def can_write(path: str) -> bool:
    return can_read(path) and os.access(path, os.W_OK)


def main() -> None:
    asked = json.load(sys.stdin)
    found = {
        "closed": [path for path in asked["read"] if not can_read(path)],
        "fixed": [path for path in asked["write"] if not can_write(path)],
        "open": [path for path in asked["secret"] if can_read(path)],
        "uid": os.geteuid(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
