"""`provider.mjs` as a process: clients registered while it runs, and everything it reports."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.security.certificates import Authority

SCRIPT = Path(__file__).with_name("provider.mjs")
START_SECONDS = 30


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """One event at the provider, with the name that the library gives it."""

    name: str
    client_id: str
    grant_type: str
    error: str
    detail: str


class CertifiedProvider:
    """A running oidc-provider. `issuer` is on 127.0.0.1, with a certificate of the test's authority."""

    def __init__(self, node: Path, packages: Path, authority: Authority) -> None:
        certificate, key = authority.issue("127.0.0.1")
        self._complaints = authority.folder / "provider.log"
        with self._complaints.open("w") as complaints:
            self._process = subprocess.Popen(
                [node, SCRIPT, packages, certificate, key],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                # It calls the front door over TLS. It needs nothing else of the environment.
                env={"NODE_EXTRA_CA_CERTS": str(authority.ca_file)},
            )
        self._marks = itertools.count(1)
        self._changed = threading.Condition()
        self._events: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.issuer = str(self._wait(lambda each: each["event"] == "ready", START_SECONDS)["issuer"])
        except TimeoutError:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def register(self, metadata: Mapping[str, Any]) -> None:
        """Make a client known; the library checks its metadata.

        Raises:
            ValueError: it does not accept them.
        """
        self._tell(metadata)
        answer = self._wait(
            lambda each: each["event"] == "client" and each["client_id"] == metadata["client_id"], START_SECONDS
        )
        if error := answer.get("error"):
            raise ValueError(error)

    def events(self, name: str, *, client_id: str, grant_type: str = "") -> list[ProviderEvent]:
        """What happened so far to a client under one name, oldest first."""
        mark = next(self._marks)
        self._tell({"mark": mark})
        self._wait(lambda each: each.get("mark") == mark, START_SECONDS)  # whatever came before it has been read
        with self._changed:
            found = [_event(each) for each in self._events if each["event"] == name]
        return [each for each in found if each.client_id == client_id and grant_type in ("", each.grant_type)]

    def wait_for(self, name: str, *, client_id: str, seconds: float = 5) -> ProviderEvent:
        """Wait for the first such event."""
        return _event(
            self._wait(lambda each: each["event"] == name and each.get("client_id") == client_id, seconds),
        )

    def _tell(self, told: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(dict(told)) + "\n")
        self._process.stdin.flush()

    def _wait(self, matches: Callable[[Mapping[str, Any]], bool], seconds: float) -> Mapping[str, Any]:
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                for each in self._events:
                    if matches(each):
                        return each
                if self._process.poll() is not None:
                    raise TimeoutError(f"the provider ended:\n{self._complaints.read_text()[-2000:]}")
                if not self._changed.wait(min(0.5, deadline - time.monotonic())) and time.monotonic() > deadline:
                    raise TimeoutError("the provider did not report it in time")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._events.append(json.loads(line))
                self._changed.notify_all()


def _event(told: Mapping[str, Any]) -> ProviderEvent:
    texts = (str(told.get(name) or "") for name in ("client_id", "grant_type", "error", "detail"))
    return ProviderEvent(str(told["event"]), *texts)
