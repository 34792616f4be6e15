"""The plan: what the launcher does before it becomes the program. It is passed as an argument, as no path is secret.

The launcher runs this before anything else, so it imports the standard library alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

LAUNCHER = str(Path(__file__).with_name("launcher.py"))
STAY = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a program gives up. The empty plan gives up all capabilities, and nothing else."""

    uid: int = STAY
    gid: int = STAY
    capabilities: int = 0
    """Mask of the capabilities that are kept."""
    new_privileges: bool = False
    landlock: int = 0
    """Version of the kernel's interface to use; 0: none."""
    rules: tuple[tuple[str, str], ...] = ()
    """For Landlock: path and kind, `read`, `write`, `device` or `list`."""
    closed: tuple[str, ...] = ()
    """Folders that the other user cannot enter. Each is covered with an empty one, only for this program."""
    binds: tuple[tuple[str, str], ...] = ()
    """Source and target of each folder below them that the program needs."""
    private: str = ""
    """A folder only for this program, with `home` and `tmp` in it. It is made if it is missing."""
    folder: str = ""
    """The folder in which the program starts; if empty, that of the launcher."""

    @property
    def switches(self) -> bool:
        return self.uid != STAY

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Reverse `to_json`; pairs are tuples again."""
        given = json.loads(text)
        for name in ("rules", "binds"):
            given[name] = tuple((first, second) for first, second in given[name])
        return cls(**{**given, "closed": tuple(given["closed"])})


def launch_command(plan: Plan, program: tuple[str, ...], *, python: str, descriptors: tuple[int, ...]) -> list[str]:
    """Build the command that carries out `plan` with the interpreter `python`, then becomes `program`.

    `descriptors` stay open beside standard input, output and error, and no others.
    """
    kept = ",".join(str(descriptor) for descriptor in descriptors)
    return [python, "-I", "-S", LAUNCHER, plan.to_json(), kept, *program]
