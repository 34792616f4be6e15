"""Options that say who may come in: addresses and domains, groups and roles, tenants, and ways in without sign-in."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, Final

from gateway.cli.migrate.draft import Draft, Rules
from gateway.cli.migrate.options import Given, Instead, Option, Outcome, Safer, Taken
from gateway.faults import UsageFault

ROLE: Final = "may-enter"
_NO_PASSWORDS: Final = "There are no local passwords: make these accounts at the provider"


def settle_people(draft: Draft) -> None:
    """Refuse a configuration that says nothing of addresses: oauth2-proxy would let nobody in.

    Raises:
        UsageFault: neither domains nor a file of addresses is given.
    """
    if not {"email_domains", "authenticated_emails_file"} & draft.given.keys():
        raise UsageFault(
            "neither email_domains nor authenticated_emails_file is given, and oauth2-proxy does not start without; "
            "name all files of the old configuration, and add --env if a part of it is in variables"
        )


def build_rules(rules: Rules) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Build `require` of the routes, and the local roles it needs.

    All keys of a rule must hold. So alternatives (an address in the file, or at a domain) become local roles, of which
    one is enough.
    """
    ways = [_joined(rules, one, two) for one, two in product(_by_address(rules), _by_group(rules))]
    if len(ways) == 1:
        return ways[0], {}
    roles = {f"{ROLE}-{number}": way for number, way in enumerate(ways, start=1)}
    return {"roles_any": list(roles)}, roles


def _joined(rules: Rules, *parts: dict[str, Any]) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for part in (*parts, rules.always):
        for key, value in part.items():
            joined[key] = {**joined.get(key, {}), **value} if isinstance(value, dict) else value
    return joined


def _by_address(rules: Rules) -> Iterator[dict[str, Any]]:
    if rules.is_any_address:
        yield {}
        return
    if rules.email_domains:
        yield {"email_domains": list(rules.email_domains)}
    if rules.emails:
        yield {"emails": list(rules.emails)}


def _by_group(rules: Rules) -> Iterator[dict[str, Any]]:
    if not (rules.groups or rules.roles or rules.client_roles):
        yield {}
    if rules.groups:
        yield {"groups_any": list(dict.fromkeys(rules.groups))}
    if rules.roles:
        yield {"roles_any": list(dict.fromkeys(rules.roles))}
    for client, names in rules.client_roles.items():
        yield {"claims": {f"resource_access.{client}.roles": names}}


def _email_domains(given: Given, draft: Draft) -> Outcome:
    domains = given.items
    if "*" in domains:
        draft.rules.is_any_address = True
        return Taken("no rule on addresses: everybody who can sign in at the provider")
    plain = [one for one in domains if not one.startswith((".", "*"))]
    if len(plain) < len(domains):
        draft.rules.email_domains = tuple(plain or domains)
        left = ", ".join(one for one in domains if one not in plain)
        return Instead(
            f"Domains are compared as a whole, so {left} lets nobody in: name each subdomain in email_domains of "
            "routes.require (or of roles.*)",
            is_open=True,
        )
    draft.rules.email_domains = domains
    return Taken(f"email_domains of the rule who may come in: {', '.join(domains)}. Only a verified address counts")


def _emails_file(given: Given, draft: Draft) -> Outcome:
    file = draft.place(given.text)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageFault(
            f"{given.source}: {file} cannot be read ({type(exc).__name__}), and it says who may come in; run this "
            "command where the file is"
        ) from None
    emails = [line.partition(",")[0].strip().lower() for line in lines]
    draft.rules.emails = tuple(one for one in emails if one and not one.startswith("#"))
    if not draft.rules.emails and not draft.items("email_domains"):
        raise UsageFault(f"{given.source}: {file} names nobody, so nobody could come in")
    count = len(draft.rules.emails)
    return Taken(f"emails of the rule who may come in: {count} of them. The file is not read again: change the toml")


def _allowed_groups(given: Given, draft: Draft) -> Outcome:
    for name in given.items:
        if draft.is_for("keycloak-oidc") and name.startswith("role:"):
            _add_role(draft, name.removeprefix("role:"))
        else:
            draft.rules.groups.append(name)
    if draft.is_for("oidc") and "scope" not in draft.given:
        draft.provider.setdefault("scopes", ["openid", "profile", "email", "groups"])
    return _groups_taken(draft, given.items)


def _groups_taken(draft: Draft, names: tuple[str, ...]) -> Outcome:
    if draft.is_for("google"):
        return Instead(
            f"Google's tokens hold no groups. The rule groups_any = {list(names)} stays and lets nobody in: replace "
            "it by emails, email_domains or claims, or put a provider with groups in between",
            is_open=True,
        )
    return Taken(f"groups_any (or roles_any) of the rule who may come in: {', '.join(names)}")


def _allowed_roles(given: Given, draft: Draft) -> Outcome:
    if not draft.is_for("keycloak-oidc"):
        return _only_for("Keycloak (keycloak-oidc)")
    for name in given.items:
        _add_role(draft, name)
    says = f"roles_any of the rule who may come in: {', '.join(given.items)}"
    if draft.rules.client_roles:
        says += (
            ". A role of a client (client:role) is read from the claim resource_access, which the ID token must hold"
        )
    return Taken(says)


def _add_role(draft: Draft, name: str) -> None:
    """Add a role of Keycloak: `name` of the realm, `client:name` of a client."""
    client, colon, role = name.partition(":")
    if colon:
        draft.rules.client_roles.setdefault(client, []).append(role)
    else:
        draft.rules.roles.append(name)


def _groups_of(*kinds: str) -> Any:
    """Make the handler of an option that names groups of one product."""

    def handle(given: Given, draft: Draft) -> Outcome:
        if not draft.is_for(*kinds):
            return _only_for(" or ".join(kinds))
        draft.rules.groups += given.items
        return _groups_taken(draft, given.items)

    return handle


def _gitlab_projects(given: Given, draft: Draft) -> Outcome:
    if not draft.is_for("gitlab"):
        return _only_for("gitlab")
    draft.rules.groups += [f"project:{name}" for name in given.items]
    return Instead(
        "GitLab's tokens name groups and no projects. The rule asks for a group project:NAME, which nobody has: write "
        "the group of the project into groups_any",
        is_open=True,
    )


def _tenants(given: Given, draft: Draft) -> Outcome:
    if not draft.is_for("entra-id"):
        return _only_for("entra-id")
    draft.rules.always["claims"] = {"tid": list(given.items)}
    return Taken(f"routes.require.claims.tid: {', '.join(given.items)}, and the issuer names one tenant")


def _azure_tenant(given: Given, draft: Draft) -> Outcome:
    if not draft.is_for("azure", "entra-id"):
        return _only_for("azure")
    return Taken(f"a part of providers.{draft.product.name}.issuer")


def _only_for(product_name: str) -> Instead:
    return Instead(f"Only for {product_name}, which is not in use here: oauth2-proxy ignores it too")


def _only(*kinds: str, then: Outcome) -> Any:
    """Make the handler of an option that has a meaning only for some products."""

    def handle(given: Given, draft: Draft) -> Outcome:
        return then if draft.is_for(*kinds) else _only_for(" or ".join(kinds))

    return handle


def _trusted_ips(given: Given, draft: Draft) -> Outcome:
    return Safer("An address is not enough to come in: people sign in, programs send a bearer token (accept_bearer)")


def _htpasswd(given: Given, draft: Draft) -> Outcome:
    return Instead(_NO_PASSWORDS)


_NO_GITHUB: Final = Instead("GitHub needs a provider in between: see provider")
_NO_BITBUCKET: Final = Instead("Bitbucket needs a provider in between: see provider")
_NO_DIRECTORY: Final = Instead("Google's directory is not asked: Google's tokens hold no groups")
OPTIONS: Final = (
    Option("email-domain", Taken("`email_domains` in `routes.require` (or a local role). Only a verified address "
                                 "counts"), _email_domains, "list", key="email_domains"),
    Option("authenticated-emails-file", Taken("`emails` in `routes.require` (or a local role)"), _emails_file),
    Option("allowed-group", Taken("`groups_any` in `routes.require`"), _allowed_groups, "list", key="allowed_groups",
           alpha=("providers.allowedGroups",)),
    Option("allowed-role", Taken("Keycloak: `roles_any` in `routes.require`; `client:role` by `claims`"),
           _allowed_roles, "list", key="allowed_roles", alpha=("providers.keycloakConfig.roles",)),
    Option("keycloak-group", Taken("Keycloak: `groups_any` in `routes.require`"),
           _groups_of("keycloak", "keycloak-oidc"), "list", key="keycloak_groups",
           alpha=("providers.keycloakConfig.groups",), older=("keycloak_group",)),
    Option("gitlab-group", Taken("GitLab: `groups_any` in `routes.require`"), _groups_of("gitlab"), "list",
           key="gitlab_groups", alpha=("providers.gitlabConfig.group",), older=("gitlab_group",)),
    Option("gitlab-project", Instead("GitLab's tokens name no projects; the rule stays closed until you name groups"),
           _gitlab_projects, "list", key="gitlab_projects", alpha=("providers.gitlabConfig.projects",),
           older=("gitlab-projects",)),
    Option("google-group", Instead("Google's tokens hold no groups; the rule stays closed until you replace it"),
           _groups_of("google"), "list", key="google_groups", alpha=("providers.googleConfig.group",),
           older=("google_group",)),
    Option("google-admin-email", _NO_DIRECTORY, _only("google", then=_NO_DIRECTORY),
           alpha=("providers.googleConfig.adminEmail",)),
    Option("google-service-account-json", _NO_DIRECTORY, _only("google", then=_NO_DIRECTORY),
           alpha=("providers.googleConfig.serviceAccountJson",)),
    Option("google-use-application-default-credentials", _NO_DIRECTORY, _only("google", then=_NO_DIRECTORY), "flag",
           alpha=("providers.googleConfig.useApplicationDefaultCredentials",)),
    Option("google-target-principal", _NO_DIRECTORY, _only("google", then=_NO_DIRECTORY),
           alpha=("providers.googleConfig.targetPrincipal",)),
    Option("google-use-organization-id", _NO_DIRECTORY, _only("google", then=_NO_DIRECTORY), "flag",
           alpha=("providers.googleConfig.useOrganizationID",)),
    Option("google-admin-api-user-scope", _NO_DIRECTORY, _only("google", then=_NO_DIRECTORY),
           alpha=("providers.googleConfig.adminAPIUserScope",)),
    Option("azure-tenant", Taken("A part of `providers.*.issuer`; `common` is refused: an issuer is exact"),
           _azure_tenant, alpha=("providers.azureConfig.tenant",)),
    Option("azure-graph-group-field", Instead("Groups of Entra ID are object ids; app roles have names"),
           _only("azure", then=Instead("Groups of Entra ID are object ids: write those into groups_any",
                                       is_open=True)), alpha=("providers.azureConfig.graphGroupField",)),
    Option("entra-id-allowed-tenant", Taken("`claims = { tid = … }` in `routes.require`; one tenant becomes the "
                                      "issuer"), _tenants, "list", key="entra_id_allowed_tenants",
           alpha=("providers.microsoftEntraIDConfig.allowedTenants",)),
    Option("entra-id-federated-token-auth", Instead("The client has a secret of its own, or a key "
                                                    "(`client_auth = \"private_key_jwt\"`)"),
           _only("entra-id", then=Instead("The client needs a secret or a key of its own (client_auth)",
                                          is_open=True)), "flag",
           alpha=("providers.microsoftEntraIDConfig.federatedTokenAuth",)),
    Option("", Instead("`scopes` are always sent: the profile's, or your own"), None, "flag",
           alpha=("providers.ADFSConfig.skipScope",)),
    Option("github-org", _NO_GITHUB, _only("github", then=_NO_GITHUB), alpha=("providers.githubConfig.org",)),
    Option("github-team", _NO_GITHUB, _only("github", then=_NO_GITHUB), alpha=("providers.githubConfig.team",)),
    Option("github-repo", _NO_GITHUB, _only("github", then=_NO_GITHUB), alpha=("providers.githubConfig.repo",)),
    Option("github-token", _NO_GITHUB, _only("github", then=_NO_GITHUB), alpha=("providers.githubConfig.token",)),
    Option("github-user", _NO_GITHUB, _only("github", then=_NO_GITHUB), "list", key="github_users",
           alpha=("providers.githubConfig.users",)),
    Option("bitbucket-team", _NO_BITBUCKET, _only("bitbucket", then=_NO_BITBUCKET),
           alpha=("providers.bitbucketConfig.team",)),
    Option("bitbucket-repository", _NO_BITBUCKET, _only("bitbucket", then=_NO_BITBUCKET),
           alpha=("providers.bitbucketConfig.repository",)),
    Option("htpasswd-file", Instead(_NO_PASSWORDS), _htpasswd),
    Option("htpasswd-user-group", Instead(_NO_PASSWORDS), None, "list", key="htpasswd_user_groups"),
    Option("display-htpasswd-form", Instead(_NO_PASSWORDS), None, "flag"),
    Option("trusted-ip", Safer("An address is not enough to come in"), _trusted_ips, "list", key="trusted_ips"),
)  # fmt: skip
