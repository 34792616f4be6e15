"""Find the managed apps of a configuration, and separate each from the front door and from the other apps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from bff.settings.public_urls import PublicUrls
from bff.settings.tables import RouteSettings, Settings
from gateway.faults import UsageFault
from gateway.processes.listeners import free_port
from gateway.processes.streamlit import SCHEME, ManagedApp, find_app, page_of
from gateway.sandbox import bases, private_folders
from gateway.sandbox.means import Means, look
from gateway.sandbox.plan import Plan
from gateway.sandbox.privileges import FOR_WORKERS
from gateway.sandbox.reach import Secret
from gateway.sandbox.separation import Separation, Surroundings, separate


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """How one page is separated, or the fault that prevents its start."""

    route: str
    name: str
    says: str
    warning: str = ""
    fault: str = ""
    is_missing: bool = False
    """True if the fault is that something of the page does not exist."""


def find_apps(settings: Settings, *, folder: Path) -> list[ManagedApp]:
    """Find all managed apps. Each gets its own port.

    Raises:
        UsageFault: a script, folder or Python does not exist.
    """
    return [app for route in settings.routes for app in _apps_of(route, settings, folder=folder)]


def _apps_of(route: RouteSettings, settings: Settings, *, folder: Path) -> Iterator[ManagedApp]:
    urls = PublicUrls(settings.server.public_url.rstrip("/"))
    targets = [target for target in route.upstream if target.startswith(SCHEME)]
    for number, target in enumerate(targets, start=1):
        name = route.id if len(targets) == 1 else f"{route.id}-{number}"
        yield find_app(route, target, folder=folder, port=free_port(), urls=urls, name=name)


def separate_apps(
    apps: Sequence[ManagedApp],
    settings: Settings,
    *,
    secrets: Sequence[Secret],
    environ: Mapping[str, str],
    means: Means | None = None,
) -> list[Separation]:
    """Decide how each of `apps` is separated, in their order.

    Raises:
        UsageFault: an app cannot be separated, and the configuration does not allow that.
    """
    around = _surroundings(settings, secrets=secrets, means=means)
    taken: set[int] = set()
    return [separate(page_of(app, environ=environ), around, taken=taken) for app in apps]


def _surroundings(settings: Settings, *, secrets: Sequence[Secret], means: Means | None) -> Surroundings:
    return Surroundings(
        means=means or look(),
        secrets=secrets,
        base=private_folders.choose_base(),
        development=settings.is_development,
    )


def describe_apps(
    settings: Settings, *, folder: Path, secrets: Sequence[Secret], environ: Mapping[str, str]
) -> Iterator[Described]:
    """Describe how each page would be separated if this user started the front door now. No page is started."""
    around, taken = _surroundings(settings, secrets=secrets, means=None), set[int]()
    for route in settings.routes:
        try:
            apps = list(_apps_of(route, settings, folder=folder))
        except UsageFault as fault:
            yield Described(route=route.id, name=route.id, says="", fault=fault.message, is_missing=True)
            continue
        for app in apps:
            try:
                found = separate(page_of(app, environ=environ), around, taken=taken)
            except UsageFault as fault:
                yield Described(route=route.id, name=app.name, says="", fault=fault.message)
            else:
                yield Described(route=route.id, name=app.name, says=found.says, warning=found.warning)


def log_separations(separations: Sequence[tuple[str, Separation]], *, allowed_by: str) -> None:
    """Log at the start how each page is separated, and what allows it to open more."""
    log = structlog.get_logger("vestibule.supervisor")
    for name, separation in separations:
        is_apart = separation.plan is not None and bool(separation.plan.rules)
        more = f". It can open nothing else. To allow more: {allowed_by}" if is_apart else ""
        log.info("page sandbox", process=name, rules=separation.says + more)
        if separation.warning:
            log.warning("the sandbox of this page is weaker than it should be", process=name, reason=separation.warning)


def worker_plan() -> Plan | None:
    """Return what a worker gives up: only the supervisor may switch users and signal their processes."""
    return Plan(capabilities=FOR_WORKERS, new_privileges=True) if look().holds_capabilities else None


@contextmanager
def private_places(plans: Sequence[Plan]) -> Iterator[None]:
    """Hold the folder with the private folders of `plans` while the pages run, and remove it afterwards."""
    own = [plan for plan in plans if plan.private]
    if not own:
        yield
        return
    with bases.held(str(Path(own[0].private).parent)):
        yield
