"""Who asks: a person, a machine or nobody, from options or from the claims of a provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bff.contract import Identity
from bff.provider.identity import build_identity
from bff.settings.faults import closest
from bff.settings.tables import ProviderSettings, Settings
from gateway.faults import UsageFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Who sends a request. Without `claims` it is nobody."""

    provider: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict)
    scopes: tuple[str, ...] = ()
    is_machine: bool = False

    @property
    def is_anonymous(self) -> bool:
        return not self.claims

    @property
    def kind(self) -> str:
        """What people call such a caller."""
        return "nobody" if self.is_anonymous else "a machine" if self.is_machine else "a person"


NOBODY = Who()


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A caller as options or a file describe it. Claims are those of an ID token, or of a machine's access token."""

    claims: Mapping[str, Any] | None = None
    sub: str = ""
    roles: Sequence[str] = ()
    groups: Sequence[str] = ()
    scopes: Sequence[str] = ()
    email: str = ""
    provider: str = ""
    is_machine: bool = False

    @property
    def is_nobody(self) -> bool:
        named = (self.sub, self.roles, self.groups, self.scopes, self.email, self.provider, self.is_machine)
        return self.claims is None and not any(named)


def read_who(described: Described, settings: Settings, *, where: str) -> Who:
    """Return the caller that `described` means. `where` names its place in messages.

    Raises:
        UsageFault: it means nobody in particular, or two callers at once.
    """
    if described.is_nobody:
        return NOBODY
    claims = dict(described.claims or {})
    own = (described.sub, described.roles, described.groups, described.email)
    if described.claims is not None and any(own):
        raise UsageFault(f"{where}: claims, or sub, roles, groups and email: not both")
    provider = _provider_of(described.provider, claims, settings, where=where)
    table = settings.providers[provider]
    if described.claims is None:
        claims = _claims_of(described, table)
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise UsageFault(f"{where}: who is it? Give a sub")
    if claims.setdefault("iss", table.issuer) != table.issuer:
        raise UsageFault(f"{where}: the claims are of issuer {claims['iss']!r}, not of {table.issuer} ({provider})")
    scopes = tuple(described.scopes) or tuple(str(claims.get("scope") or "").split())
    return Who(provider=provider, claims=claims, scopes=scopes, is_machine=described.is_machine)


def person_of(who: Who, settings: Settings, *, now: float) -> Identity:
    """Build the person as a sign-in with these claims would. Local roles come later, as in every request.

    A person whose claims do not say when they signed in did so just now.
    """
    table = settings.providers[who.provider]
    claims = {"auth_time": int(now), **who.claims}
    sources: dict[str, Mapping[str, Any]] = dict.fromkeys(("id_token", *map(str, table.roles_from)), claims)
    return build_identity(sources, provider=who.provider, settings=table)


def _provider_of(named: str, claims: Mapping[str, Any], settings: Settings, *, where: str) -> str:
    known = settings.providers
    if named:
        if named not in known:
            near = closest(named, known)
            raise UsageFault(f"{where}: no provider {named}" + (f"; did you mean {near}?" if near else ""))
        return named
    issued = [name for name, table in known.items() if table.issuer == claims.get("iss")]
    found = issued or list(known)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageFault(f"{where}: the configuration has no provider, so nobody can be signed in")
    raise UsageFault(f"{where}: at which provider? One of {', '.join(found)}")


def _claims_of(described: Described, table: ProviderSettings) -> dict[str, Any]:
    """Write what options say as the provider would. Every name has its place, also a dotted one or a URL."""
    claims: dict[str, Any] = {"sub": described.sub}
    if described.roles:
        claims[table.roles_claim.strip("\"'")] = list(described.roles)
    if described.groups:
        where = "groups" if described.is_machine else table.groups_claim.strip("\"'")
        claims[where] = [*claims.get(where, ()), *described.groups]
    if described.email:
        claims |= {"email": described.email, "email_verified": True}
    return claims
