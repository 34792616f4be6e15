"""Headers in which other proxies tell an application who somebody is. No client may send them.

An application, or a library in it, may believe such a header. This front door sets none of them, so a header with such
a name is only the client's claim. A route that needs one for another purpose lists its full name in `forward_headers`,
and `gateway.headers.warnings` says what that means. Pure.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

FOREIGN: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("Kubernetes: impersonation, front proxy", ("impersonate-*", "x-remote-*")),
    (
        "Kong, Apache APISIX",
        (
            *("x-consumer-*", "x-credential-*", "x-anonymous-consumer", "x-authenticated-*"),
            *("x-userinfo", "x-id-token", "x-access-token", "x-refresh-token"),
        ),
    ),
    ("WSO2, Istio, Envoy: checked JWTs", ("x-jwt-assertion", "x-jwt-payload", "x-jwt-claim*")),
    ("Azure App Service, Container Apps", ("x-ms-client-principal*", "x-ms-token-*", "x-arr-clientcert*")),
    (
        "AWS load balancers, Lambda Web Adapter",
        ("x-amzn-oidc-*", "x-amzn-mtls-*", "x-amzn-request-context", "x-amzn-lambda-context"),
    ),
    (
        "Google IAP, App Engine, Cloud Run, Endpoints, API Gateway",
        (
            *("x-goog-authenticated-*", "x-goog-iap-*", "x-appengine-*", "x-serverless-authorization"),
            *("x-endpoint-api-userinfo", "x-apigateway-*"),
        ),
    ),
    (
        "Cloudflare, Tailscale, Teleport, ngrok",
        ("cf-access-*", "tailscale-*", "teleport-*", "ngrok-auth-*"),
    ),
    ("Envoy, Dapr, Linkerd: the calling service", ("dapr-caller-*", "l5d-client-id", "x-envoy-peer-*")),
    (
        "client certificates: RFC 9440, nginx, HAProxy, Puppet",
        (
            *("client-cert*", "ssl-client*", "ssl-cert*", "x-ssl-client*", "x-ssl-cert*", "x-tls-client*"),
            *("x-client-cert*", "x-client-verify*", "x-client-dn*"),
        ),
    ),
    (
        "oauth2-proxy, authentik, Authelia, Pomerium, Vouch",
        ("gap-*", "x-authentik-*", "x-authelia-*", "x-pomerium-*", "x-vouch-*"),
    ),
    (
        "Gatekeeper (Louketo): X-Auth-*",
        (
            *("x-auth-user*", "x-auth-email", "x-auth-subject", "x-auth-name", "x-auth-given-name"),
            *("x-auth-family-name", "x-auth-groups", "x-auth-roles", "x-auth-audience"),
        ),
    ),
    ("caddy-security", ("x-token-*",)),
    (
        "mod_auth_openidc, mod_auth_mellon, mod_auth_cas, Shibboleth",
        ("oidc-*", "mellon-*", "cas-*", "shib-*", "eppn"),
    ),
    ("SiteMinder, IBM Verify, Oracle Access Manager", ("sm-*", "iv-*", "oam-*")),
    ("Grafana, Loki, Mimir, Tempo", ("x-webauth-*", "x-grafana-user", "x-grafana-id", "x-scope-orgid")),
    ("Elasticsearch, OpenSearch", ("es-security-runas-user", "x-proxy-user", "x-proxy-roles")),
    (
        "platforms for data apps: Snowflake, Posit, Domino, Kubeflow, Streamlit, Replit",
        (
            *("sf-context-*", "posit-connect-*", "rstudio-connect-*", "x-rstudio-*", "shiny-server-credentials"),
            *("domino-username", "x-domino-username", "kubeflow-*", "x-streamlit-user", "x-replit-user-*"),
        ),
    ),
    ("Apache NiFi", ("x-proxiedentitieschain", "x-proxiedentitygroups")),
    ("OpenStack, Red Hat", ("x-identity-status", "x-rh-identity")),
    (
        "common names of home-made gateways",
        (
            *("auth-user", "x-user", "x-username", "x-userid", "x-user-id", "x-user-name", "x-user-email"),
            *("x-user-mail", "x-user-role", "x-user-roles", "x-user-group", "x-user-groups", "x-email", "x-role"),
            *("x-roles", "x-group", "x-groups", "x-subject", "x-identity", "x-sso-*"),
        ),
    ),
)
"""Who sets the headers, and their names; `*` stands for any ending. `docs/configuration.md` has the same list."""
_EXACT: Final = frozenset(name for _, names in FOREIGN for name in names if not name.endswith("*"))
_PREFIXES: Final = tuple(name.removesuffix("*") for _, names in FOREIGN for name in names if name.endswith("*"))
_GLOB: Final = frozenset("*?[")


def foreign_name(name: bytes) -> str:
    """Return the entry of the list that covers a lower-case name, "" if there is none."""
    text = name.decode("latin-1")
    if text in _EXACT:
        return text
    return next((f"{prefix}*" for prefix in _PREFIXES if text.startswith(prefix)), "")


@lru_cache(maxsize=256)
def named_in_full(forward_headers: tuple[str, ...]) -> frozenset[bytes]:
    """Return the names that a route lists without a wildcard, in lower case. Only these let a foreign identity pass."""
    return frozenset(name.lower().encode("latin-1", "replace") for name in forward_headers if not _GLOB & {*name})
