"""Decide how one managed page is separated, from what this process may do; try it out; describe it in words."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bff.settings.tables import StreamlitChild
from gateway.faults import UsageFault
from gateway.sandbox import accounts, allowances, interpreters, reach
from gateway.sandbox.accounts import Account
from gateway.sandbox.interpreters import OWN_PACKAGES, PACKAGES_FOLDER
from gateway.sandbox.means import Means
from gateway.sandbox.own_parts import own_parts
from gateway.sandbox.plan import Plan
from gateway.sandbox.private_folders import HOME, TEMPORARY
from gateway.sandbox.reach import Allowed, Secret
from gateway.sandbox.trial import try_out
from gateway.sandbox.ways import Impossible, find_ways

WRITE_DOWN = 'or write sandbox = "none" into its [routes.streamlit] to run it without separation'


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The facts about a managed page that matter here. Relative paths in `settings` start from `folder`."""

    key: str
    name: str
    settings: StreamlitChild
    python: str
    has_own_python: bool
    """True if it runs in the interpreter of the front door."""
    script: Path
    folder: Path
    environment: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The facts that are the same for all pages of a front door. `base` contains their private folders."""

    means: Means
    secrets: Sequence[Secret]
    base: str
    development: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Separation:
    """How a page is separated. `plan` is for the launcher; without one the page starts like any program. `says`
    describes it for people."""

    says: str = "no sandbox: it can open everything that the front door can open"
    plan: Plan | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    warning: str = ""


def separate(page: Page, around: Surroundings, *, taken: set[int]) -> Separation:
    """Return the strongest separation that works for `page`. A user that is chosen for it is added to `taken`.

    Raises:
        UsageFault: the page can reach a secret, or it cannot be separated and the environment is production.
    """
    if page.settings.sandbox == "none":
        return _without(around, 'sandbox = "none": its code can read every secret of the front door')
    allowed = list(_allowed(page))
    found = [*reach.faults(allowed, around.secrets), *reach.changes(allowed, list(own_parts())), *_missing(page)]
    if found:
        raise UsageFault("\n".join(f"{page.key}.{sentence}" for sentence in found))
    account = _choose(page, around.means, taken=taken)
    try:
        separation = _attempt(page, around, allowed, account=account)
    except Impossible as exc:
        if not around.development:
            raise UsageFault(f"{page.key}.streamlit: {exc}, {WRITE_DOWN}") from None
        return _in_development(page, around, allowed, account=account, why=str(exc))
    if account is not None:
        taken.add(account.uid)
    return separation


def _in_development(
    page: Page, around: Surroundings, allowed: list[Allowed], *, account: Account | None, why: str
) -> Separation:
    """Return the next best separation: only Landlock, as the front door's own user.

    If that is impossible, only a warning.
    """
    if around.means.landlock:
        try:
            found = _attempt(page, around, allowed, account=None, even_as_root=True)
        except Impossible as exc:
            raise UsageFault(f"{page.key}.streamlit: {exc}, {WRITE_DOWN}") from None
        return replace(found, warning=f"{why}; production would refuse to start")
    return _without(around, f"{why}; its code can read every secret of the front door, and production would not start")


def _without(around: Surroundings, warning: str) -> Separation:
    plan = Plan(new_privileges=True) if around.means.holds_capabilities else None
    return Separation(plan=plan, warning=warning)


def _missing(page: Page) -> Iterator[str]:
    """Yield one sentence for each path that the settings name and that does not exist: most likely a slip."""
    for kind, paths in (("read", page.settings.read), ("write", page.settings.write)):
        for path in paths:
            place = page.folder / path
            if not os.path.exists(place):  # `Path.exists` raises where a folder may not be entered
                yield f"streamlit.{kind}: no file or folder {place}; make it, or correct it"


def _choose(page: Page, means: Means, *, taken: set[int]) -> Account | None:
    """Choose the user to switch to; None to stay.

    Raises:
        UsageFault: `streamlit.user` cannot be used.
    """
    key, wish = f"{page.key}.streamlit.user", page.settings.user
    if not wish:
        return accounts.free_account(taken=taken) if means.may_switch else None
    account = accounts.find_account(wish)
    if account is None:
        raise UsageFault(f"{key}: no user {wish} on this machine; make it with `useradd --system {wish}`")
    if account.uid == 0:
        raise UsageFault(f"{key}: {wish} is root; name a user that owns nothing but what the page needs")
    if account.uid == means.uid:
        return None
    if not means.may_switch:
        raise UsageFault(
            f"{key}: this process may not become {wish}; start it as root, or with the capabilities CAP_SETUID, "
            "CAP_SETGID and CAP_KILL"
        )
    return account


def _allowed(page: Page) -> Iterator[Allowed]:
    """Return what belongs to the page: its folders, paths in its settings and variables, and its Python."""
    yield Allowed(page.script.parent, "upstream")
    yield Allowed(page.folder, "streamlit.cwd")
    for path in page.settings.read:
        yield Allowed(page.folder / path, "streamlit.read")
    for path in page.settings.write:
        yield Allowed(page.folder / path, "streamlit.write", writing=True)
    for name in allowances.PATH_VARIABLES:
        for path in page.environment.get(name, "").split(os.pathsep):
            if path and Path(path).exists() and Path(path).resolve() != PACKAGES_FOLDER.resolve():
                yield Allowed(Path(path).absolute(), f"streamlit.env ({name})")
    own = interpreters.own_folders() if page.has_own_python else interpreters.folders_of(page.python)
    for folder in dict.fromkeys(own):
        yield Allowed(folder, "streamlit.python")
    for package in OWN_PACKAGES:
        yield Allowed(PACKAGES_FOLDER / package, "the packages of the front door")


def _attempt(
    page: Page, around: Surroundings, allowed: list[Allowed], *, account: Account | None, even_as_root: bool = False
) -> Separation:
    means = around.means
    if account is None and means.uid == 0 and not even_as_root:
        raise Impossible(
            "a page must not run as root, and this process may not switch to another user; start it as "
            "another user, or let it have the capabilities CAP_SETUID, CAP_SETGID and CAP_KILL"
        )
    if account is None and not means.landlock:
        raise Impossible(
            "there is no Landlock here (Linux 5.13 or newer has it), and this process may not switch to another user; "
            "start it as root, or with the capabilities CAP_SETUID, CAP_SETGID and CAP_KILL"
        )
    plan = _plan(page, around, allowed, account=account)
    try_out(plan, page.python, allowed, script=page.script, secrets=around.secrets, account=account)
    home = Path(plan.private)
    environment = {
        "HOME": str(home / HOME),
        "TMPDIR": str(home / TEMPORARY),
        "USER": account.name if account else accounts.NAMELESS,
        "LOGNAME": account.name if account else accounts.NAMELESS,
        **(interpreters.user_base() if page.has_own_python else {}),
    }
    return Separation(plan=plan, environment=environment, says=_words(page, means, account=account))


def _plan(page: Page, around: Surroundings, allowed: list[Allowed], *, account: Account | None) -> Plan:
    # Links are followed now and never again: a page that may change a folder could put another link there.
    private = os.path.realpath(Path(around.base, page.name))
    rules = [*allowances.defaults(), (private, "write"), (str(PACKAGES_FOLDER), "list")]
    rules += [(str(one.path), "write" if one.writing else "read") for one in allowed]
    resolved = dict.fromkeys((os.path.realpath(path), kind) for path, kind in rules)
    plan = Plan(landlock=around.means.landlock, rules=tuple(resolved), private=private, folder=str(page.folder))
    if account is None:
        return plan
    closed, binds = find_ways(allowed, account, may_mount=around.means.may_mount)
    return replace(plan, uid=account.uid, gid=account.gid, closed=closed, binds=binds)


def _words(page: Page, means: Means, *, account: Account | None) -> str:
    who = f"runs as {account}" if account else f"runs as the front door's own user ({means.uid})"
    if not means.landlock:
        return f"{who}, without Landlock: it can read what every user of this machine may read"
    own = ", ".join(str(path) for path in dict.fromkeys((page.script.parent, page.folder)))
    reads = "".join(f", {path}" for path in page.settings.read)
    writes = "".join(f", {path}" for path in page.settings.write)
    words = f"{who}, limited by Landlock (version {means.landlock}). It can read the system's libraries, its Python, "
    return f"{words}{own}{reads}. It can write a private folder{writes}"
