"""Ports for programs that need one at the start. Nobody else gets the port before the program has started.

The ports are below the system's range for outgoing connections and for servers on port 0. Each process of a parallel
run has its own range. The port that is higher by ten thousand, which a Redis Cluster node uses for its bus, is below
the system's range too.
"""

from __future__ import annotations

import os
import socket
from itertools import cycle

FIRST = 12_000
STRETCH = 1_000
STRETCHES = 8


def _stretch_of_this_process() -> range:
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % STRETCHES
    return range(FIRST + number * STRETCH, FIRST + (number + 1) * STRETCH)


def _in_turn() -> list[int]:
    """The range, from a random start in it, so that two runs on one machine seldom choose the same port."""
    ports = list(_stretch_of_this_process())
    begin = os.getpid() * 37 % STRETCH
    return ports[begin:] + ports[:begin]


_turn = cycle(_in_turn())


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on and that this run has not given out lately."""
    for port in _turn:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("an endless turn has ended")


def free_ports(count: int) -> list[int]:
    """`count` different ones."""
    return [free_port() for _ in range(count)]
