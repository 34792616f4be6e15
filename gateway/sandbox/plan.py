"""What the launcher does before it becomes the program. No path in it is a secret, so it travels as an argument.

Run by the launcher before anything else, so nothing but the standard library here.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

LAUNCHER = str(Path(__file__).with_name("launcher.py"))
STAY = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The empty plan gives up all capabilities, and nothing else."""

    uid: int = STAY
    gid: int = STAY
    capabilities: int = 0
    """Mask of those that are kept."""
    new_privileges: bool = False
    landlock: int = 0
    """Version of the kernel's interface to use; 0: none."""
    rules: tuple[tuple[str, str], ...] = ()
    """For Landlock: path and kind, `read`, `write`, `device` or `list`."""
    closed: tuple[str, ...] = ()
    """Folders that the other user cannot pass. An empty one is put over each, for this program alone."""
    binds: tuple[tuple[str, str], ...] = ()
    """Source and target: what is needed from below them."""
    private: str = ""
    """Folder of this program alone, with `home` and `tmp` in it; made if it is missing."""
    folder: str = ""
    """Where the program starts; empty: where the launcher does."""

    @property
    def switches(self) -> bool:
        return self.uid != STAY

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Reverse `to_json`: pairs come back as pairs."""
        given = json.loads(text)
        for name in ("rules", "binds"):
            given[name] = tuple((first, second) for first, second in given[name])
        return cls(**{**given, "closed": tuple(given["closed"])})


def launch_command(plan: Plan, program: tuple[str, ...], *, python: str, descriptors: tuple[int, ...]) -> list[str]:
    """The command that carries out `plan` with the interpreter `python`, then becomes `program` in the same process.

    `descriptors` stay open beside standard input, output and error; nothing else does.
    """
    kept = ",".join(str(descriptor) for descriptor in descriptors)
    return [python, "-I", "-S", LAUNCHER, plan.to_json(), kept, *program]
