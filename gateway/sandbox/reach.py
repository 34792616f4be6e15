"""Find secrets of the front door in folders that a page may read: Landlock cannot exclude a file from a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.sandbox.allowances import TOO_WIDE


@dataclass(frozen=True, slots=True)
class Allowed:
    """A path that a page may reach. `why` is the key of the configuration, or the words, that say why."""

    path: Path
    why: str
    writing: bool = False


@dataclass(frozen=True, slots=True)
class Secret:
    """A file with a secret of the front door. `key` is the setting that names it."""

    path: Path
    key: str


def faults(allowed: Iterable[Allowed], secrets: Iterable[Secret]) -> Iterator[str]:
    """Yield one sentence for each secret in reach and each folder that is too wide. All links are followed."""
    resolved = [(one, Path(os.path.realpath(one.path))) for one in allowed]
    for one, place in resolved:
        if place in TOO_WIDE:
            yield f"{one.why}: {one.path} is too wide for a page; name the folders or files in it that the page needs"
    for secret in secrets:
        # The file and each link on the way to it: whoever may write the folder of a link may replace the secret.
        places = {Path(os.path.realpath(secret.path)), Path(os.path.abspath(secret.path))}
        for one, place in resolved:
            if any(file == place or place in file.parents for file in places):
                yield (
                    f"{one.why}: the page may read {one.path}, and {secret.path} ({secret.key}) lies in it; "
                    "move the secret out of every folder of a page, /etc/vestibule say"
                )
                break
