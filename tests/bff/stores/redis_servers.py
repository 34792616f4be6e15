"""Real Redis deployments for tests: each server its own process on a free loopback port in a temporary folder.

`with standalone(program, folder) as deployment:` and its siblings start the servers, wait until they can be used, give
the `store.url` of the deployment, and end what they started, by process id.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

import redis

from tests.ports import free_port, free_ports
from tests.security.certificates import make_authority

READY_SECONDS = 20.0
ACL_USER = "vestibule"
ACL_PASSWORD = "p@ss:w/rd?for#tests"
ACL_RULES = (
    "~vestibule:*",
    "&vestibule:*",
    "+eval",
    "+evalsha",
    "+get",
    "+set",
    "+del",
    "+exists",
    "+hset",
    "+hget",
    "+hmget",
    "+zadd",
    "+zrem",
    "+zcard",
    "+zscore",
    "+zrangebyscore",
    "+zremrangebyscore",
    "+pttl",
    "+pexpire",
    "+pexpireat",
    "+time",
    "+ping",
    "+wait",
    "+info",
    "+publish",
    "+subscribe",
    "+unsubscribe",
    "+cluster|slots",
    "+asking",
    "+select",
)
"""The commands that docs/redis.md tells an operator to allow. The tests prove that they are enough."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files of a server on 127.0.0.1 and of its client, from one authority."""

    authority: Path
    server: tuple[Path, Path]
    client: tuple[Path, Path]

    @property
    def query(self) -> str:
        """The part of a `rediss://` URL that names these files."""
        names = zip(("ca_file", "certificate_file", "key_file"), (self.authority, *self.client), strict=True)
        return urlencode({key: str(path) for key, path in names})

    def client_options(self) -> dict[str, object]:
        certificate, key = self.client
        return {
            "ssl": True,
            "ssl_ca_certs": str(self.authority),
            "ssl_certfile": str(certificate),
            "ssl_keyfile": str(key),
        }


@dataclass(eq=False, slots=True)
class Server:
    """One process of redis-server. `port` is its port without TLS, or with it when it has no other."""

    port: int
    process: subprocess.Popen[bytes]
    options: dict[str, object] = field(default_factory=dict)

    def client(self) -> redis.Redis:
        return redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=5, protocol=2, **self.options)  # type: ignore[arg-type]  # values by keyword

    def freeze(self) -> None:
        """Stop the process from answering, as if the network were cut."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass(eq=False, slots=True)
class Deployment:
    """A running deployment: its `store.url`, and its servers, primaries first."""

    url: str
    servers: list[Server]
    certificates: Certificates | None = None


@contextmanager
def standalone(program: Path, folder: Path) -> Iterator[Deployment]:
    with _servers() as start:
        port = free_port()
        server = start(program, folder / "standalone", port)
        yield Deployment(f"redis://127.0.0.1:{port}/3", [server])


@contextmanager
def secured(program: Path, folder: Path) -> Iterator[Deployment]:
    """Only TLS, with client certificates, and one ACL user with the rights that the documentation names."""
    place = folder / "certificates"
    place.mkdir()
    authority = make_authority(place)
    certificates = Certificates(authority.ca_file, authority.issue("127.0.0.1"), authority.issue("vestibule"))
    with _servers() as start:
        port = free_port()
        server = start(program, folder / "secured", port, *_tls_options(certificates, port), certificates=certificates)
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", ACL_USER, "on", f">{ACL_PASSWORD}", *ACL_RULES)
        url = f"rediss://{ACL_USER}:{quote(ACL_PASSWORD, safe='')}@127.0.0.1:{port}/0?{certificates.query}"
        yield Deployment(url, [server], certificates)


@contextmanager
def with_sentinels(program: Path, folder: Path, *, down_after_milliseconds: int = 1000) -> Iterator[Deployment]:
    """One primary, one replica, three sentinels; `servers` in this order."""
    with _servers() as start:
        primary, replica, *watchers = free_ports(5)
        servers = [start(program, folder / "primary", primary)]
        servers.append(start(program, folder / "replica", replica, "--replicaof", "127.0.0.1", str(primary)))
        _until(lambda: _replicates(servers[1]), "the replica follows")
        for port in watchers:
            place = folder / f"sentinel-{port}"
            place.mkdir(parents=True)
            (place / "sentinel.conf").write_text(_sentinel_configuration(primary, down_after_milliseconds))
            servers.append(start(program, place, port, "--sentinel", configuration=place / "sentinel.conf"))
        _until(lambda: all(_knows_the_others(server) for server in servers[2:]), "the sentinels know each other")
        hosts = ",".join(f"127.0.0.1:{port}" for port in watchers)
        yield Deployment(f"redis+sentinel://{hosts}/vestibule-tests", servers)


@contextmanager
def cluster(program: Path, folder: Path, *, replicas: bool = False) -> Iterator[Deployment]:
    """Three primaries that share the slots, each with a replica if wanted; `servers` primaries first."""
    with _servers() as start:
        ports = free_ports(6 if replicas else 3)
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-announce-ip", "127.0.0.1")
        servers = [start(program, folder / f"node-{port}", port, *options) for port in ports]
        _join(servers)
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports[:3])
        yield Deployment(f"redis+cluster://{hosts}", servers)


def _join(servers: list[Server]) -> None:
    bounds = [0, 5461, 10923, 16384]
    primaries, followers = servers[:3], servers[3:]
    for number, server in enumerate(primaries):
        with server.client() as client:
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
    # Introduce every server to every other one: waiting for gossip takes seconds.
    for number, server in enumerate(servers):
        with server.client() as client:
            for other in servers[:number]:
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port)
    _until(lambda: all(_known_nodes(server) == len(servers) for server in servers), "the nodes know each other")
    for primary, follower in zip(primaries, followers, strict=False):
        with follower.client() as client:
            client.execute_command("CLUSTER", "REPLICATE", node_id(primary))
    _until(lambda: all(_is_cluster_ok(server) for server in servers), "the cluster is complete")
    _until(lambda: all(_replicates(server) for server in followers), "the replicas follow")
    _until(lambda: all(_sees_replicas(server, len(followers)) for server in servers), "everybody knows the replicas")


@contextmanager
def _servers() -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(
        program: Path,
        folder: Path,
        port: int,
        *options: str,
        configuration: Path | None = None,
        certificates: Certificates | None = None,
    ) -> Server:
        server = _launch(program, folder, port, options, configuration=configuration, certificates=certificates)
        started.append(server)
        _until(lambda: _answers(server), f"port {port} answers")
        return server

    try:
        yield start
    finally:
        for server in started:
            server.thaw()
            server.kill()


def start_server(program: Path, folder: Path, port: int, *options: str) -> Server:
    """Start one more server. The caller must end it."""
    server = _launch(program, folder, port, options, configuration=None, certificates=None)
    _until(lambda: _answers(server), f"port {port} answers")
    return server


def _launch(
    program: Path,
    folder: Path,
    port: int,
    options: tuple[str, ...],
    *,
    configuration: Path | None,
    certificates: Certificates | None,
) -> Server:
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(program), *([str(configuration)] if configuration else [])]
    command += ["--port", "0" if certificates else str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    if configuration is None:
        command += ["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [*command, *options], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={"PATH": os.defpath}
        )
    return Server(port, process, certificates.client_options() if certificates else {})


def _tls_options(certificates: Certificates, port: int) -> tuple[str, ...]:
    return (
        "--tls-port", str(port),
        "--tls-cert-file", str(certificates.server[0]),
        "--tls-key-file", str(certificates.server[1]),
        "--tls-ca-cert-file", str(certificates.authority),
        "--tls-auth-clients", "yes",
    )  # fmt: skip


def _sentinel_configuration(primary: int, down_after_milliseconds: int) -> str:
    return "\n".join(
        (
            f"sentinel monitor vestibule-tests 127.0.0.1 {primary} 2",
            f"sentinel down-after-milliseconds vestibule-tests {down_after_milliseconds}",
            "sentinel failover-timeout vestibule-tests 5000",
            "sentinel parallel-syncs vestibule-tests 1",
            "",
        )
    )


def node_id(server: Server) -> str:
    with server.client() as client:
        identifier = client.execute_command("CLUSTER", "MYID")
        return identifier.decode() if isinstance(identifier, bytes) else str(identifier)


def _answers(server: Server) -> bool:
    if server.process.poll() is not None:
        raise AssertionError(f"redis-server on port {server.port} ended with {server.process.returncode}")
    with server.client() as client:
        return bool(client.ping())


def _replicates(server: Server) -> bool:
    with server.client() as client:
        return bool(client.info("replication").get("master_link_status") == "up")


def _knows_the_others(sentinel: Server) -> bool:
    with sentinel.client() as client:
        state = client.sentinel_master("vestibule-tests")
        return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)


def _cluster_info(server: Server) -> dict[str, str]:
    with server.client() as client:
        text = client.execute_command("CLUSTER", "INFO")
    if isinstance(text, dict):
        return {str(key): str(value) for key, value in text.items()}
    return dict(line.split(":", 1) for line in text.decode().split())


def _sees_replicas(server: Server, count: int) -> bool:
    with server.client() as client:
        rows = client.execute_command("CLUSTER", "SLOTS")
    return sum(len(row) - 3 for row in rows) == count


def _known_nodes(server: Server) -> int:
    return int(_cluster_info(server)["cluster_known_nodes"])


def _is_cluster_ok(server: Server) -> bool:
    info = _cluster_info(server)
    return info["cluster_state"] == "ok" and info["cluster_slots_ok"] == "16384" and info["cluster_size"] == "3"


def _until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with suppress(redis.RedisError, OSError):
            if is_so():
                return
        time.sleep(0.05)
    raise AssertionError(f"not within {READY_SECONDS:.0f} s: {what}")
