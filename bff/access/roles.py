"""Local roles, `[roles.*]`: added to what the provider says, on every load, never stored. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bff.access.requirements import unmet
from bff.contract import Identity
from bff.settings.tables import Requirements


def with_local_roles(
    identity: Identity, rules: Mapping[str, Requirements], *, scopes: frozenset[str] = frozenset()
) -> Identity:
    """`identity` with every local role whose rule it meets; rules see the provider's roles, not each other's."""
    if not rules:
        return identity
    added = [role for role, rule in rules.items() if not unmet(rule, identity, scopes=scopes)]
    return replace(identity, roles=tuple(dict.fromkeys([*identity.roles, *added])))
