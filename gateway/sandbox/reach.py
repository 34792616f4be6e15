"""Find secrets of the front door in folders that a page may read, and its code in folders that a page may change.

Landlock cannot exclude a file from a folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.sandbox.allowances import TOO_WIDE

MOST_LINKS = 20


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
    may_be_read: bool = False
    """True for a configuration without secrets: it must not be changed."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file or folder that the front door runs. `is_whole`: with everything in it."""

    path: Path
    what: str
    is_whole: bool = False


def faults(allowed: Iterable[Allowed], secrets: Iterable[Secret]) -> Iterator[str]:
    """Yield one sentence for each secret in reach and each folder that is too wide. All links are followed."""
    resolved = [(one, Path(os.path.realpath(one.path))) for one in allowed]
    for one, place in resolved:
        if place in TOO_WIDE:
            yield f"{one.why}: {one.path} is too wide for a page; name the folders or files in it that the page needs"
    for secret in secrets:
        # The file and each link on the way to it: whoever may write the folder of a link may replace the secret.
        places = _places_of(secret.path)
        for one, place in resolved:
            if secret.may_be_read and not one.writing:
                continue
            if any(file == place or place in file.parents for file in places):
                yield _sentence(one, secret)
                break


def _places_of(path: Path) -> set[Path]:
    """Where `path`, and every link that leads to its file, lies."""
    place = Path(os.path.abspath(path))
    found = {place, Path(os.path.realpath(path))}
    for _ in range(MOST_LINKS):
        place = Path(os.path.realpath(place.parent), place.name)
        found.add(place)
        if not place.is_symlink():
            break
        place = Path(os.path.normpath(place.parent / os.readlink(place)))
        found.add(place)
    return found


def _sentence(one: Allowed, secret: Secret) -> str:
    if secret.may_be_read:
        return (
            f"{one.why}: the page may change {one.path}, and {secret.path} ({secret.key}) lies in it; "
            "name a folder that holds nothing but what the page writes"
        )
    return (
        f"{one.why}: the page may read {one.path}, and {secret.path} ({secret.key}) lies in it; "
        "move the secret out of every folder of a page, /etc/vestibule say"
    )


def changes(allowed: Iterable[Allowed], parts: Iterable[Part]) -> Iterator[str]:
    """One sentence for each folder that a page may change and in which the front door would run what it wrote."""
    resolved = [(one, Path(os.path.realpath(one.path))) for one in allowed if one.writing]
    for one, place in resolved:
        for part in parts:
            places = _places_of(part.path)
            around = any(file == place or place in file.parents for file in places)
            if around or (part.is_whole and any(file in place.parents for file in places)):
                yield (
                    f"{one.why}: the page may change {one.path}, and with it {part.path} ({part.what}); "
                    "name a folder that holds nothing but what the page writes"
                )
                break
