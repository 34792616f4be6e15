"""Local roles from `[roles.*]`. They are added to the provider's roles on every load and never stored. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bff.access.requirements import unmet
from bff.contract import Identity
from bff.settings.tables import Requirements


def with_local_roles(
    identity: Identity, rules: Mapping[str, Requirements], *, scopes: frozenset[str] = frozenset()
) -> Identity:
    """Add every local role whose rule `identity` meets. Rules see the provider's roles, not other local roles."""
    if not rules:
        return identity
    added = [role for role, rule in rules.items() if not unmet(rule, identity, scopes=scopes)]
    return replace(identity, roles=tuple(dict.fromkeys([*identity.roles, *added])))
