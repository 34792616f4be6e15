"""The managed apps of a configuration: found, and each kept apart from the front door and from the others."""

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
    """How one page is kept apart, or the fault that keeps it from being started."""

    route: str
    name: str
    says: str
    warning: str = ""
    fault: str = ""


def find_apps(settings: Settings, *, folder: Path) -> list[ManagedApp]:
    """Every managed app, with a port of its own.

    Raises:
        UsageFault: a script, folder or Python is not there.
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
    """How each of `apps` is kept apart, in their order.

    Raises:
        UsageFault: one of them cannot be, and the configuration does not say that it need not.
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
    """What would hold for each page that is there if this user started the front door now. Starts none."""
    around, taken = _surroundings(settings, secrets=secrets, means=None), set[int]()
    for route in settings.routes:
        try:
            apps = list(_apps_of(route, settings, folder=folder))
        except UsageFault:
            continue  # a script that is missing says nothing about its separation
        for app in apps:
            try:
                found = separate(page_of(app, environ=environ), around, taken=taken)
            except UsageFault as fault:
                yield Described(route=route.id, name=app.name, says="", fault=fault.message)
            else:
                yield Described(route=route.id, name=app.name, says=found.says, warning=found.warning)


def log_separations(separations: Sequence[tuple[str, Separation]]) -> None:
    """Say at the start what holds for each page."""
    log = structlog.get_logger("vestibule.supervisor")
    for name, separation in separations:
        log.info("page kept apart", process=name, how=separation.says)
        if separation.warning:
            log.warning("page not kept apart as it should be", process=name, reason=separation.warning)


def worker_plan() -> Plan | None:
    """What a worker gives up: switching users and signalling them are for the supervisor alone."""
    return Plan(capabilities=FOR_WORKERS, new_privileges=True) if look().holds_capabilities else None


@contextmanager
def private_places(plans: Sequence[Plan]) -> Iterator[None]:
    """Hold the folder with the private ones of `plans` for as long as the pages run; remove it afterwards."""
    own = [plan for plan in plans if plan.private]
    if not own:
        yield
        return
    with bases.held(str(Path(own[0].private).parent)):
        yield
