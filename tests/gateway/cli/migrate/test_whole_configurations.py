"""Whole configurations of oauth2-proxy, one for each provider, store and listener: the result passes the check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.gateway.cli.migrate.old_configurations import (
    PASSWORD,
    assert_passes_the_check,
    migrate,
    write_old,
)

PEM = (
    rsa.generate_private_key(public_exponent=65537, key_size=2048)
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode()
)
WHOLE: dict[str, dict[str, Any]] = {
    "one application behind Keycloak": {
        "provider": "keycloak-oidc",
        "allowed_roles": ["analyst"],
        "reverse_proxy": True,
        "trusted_proxy_ips": ["10.0.0.0/8"],
    },
    "Google with a Workspace domain": {"provider": "google", "oidc_issuer_url": "https://accounts.google.com"},
    "Entra ID in one tenant": {
        "provider": "azure",
        "azure_tenant": "11111111-2222-3333-4444-555555555555",
        "oidc_issuer_url": "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0",
    },
    "a GitLab of one's own": {
        "provider": "gitlab",
        "oidc_issuer_url": "https://gitlab.example.com",
        "gitlab_groups": ["science"],
    },
    "ADFS": {"provider": "adfs", "oidc_issuer_url": "https://adfs.example.com/adfs"},
    "cidaas": {"provider": "cidaas", "oidc_issuer_url": "https://x.cidaas.example.com"},
    "everybody at the provider": {"email_domains": "*"},
    "a Redis with a password": {
        "session_store_type": "redis",
        "redis_connection_url": f"rediss://user:{PASSWORD}@redis.example.com:6380/3",
    },
    "Redis behind sentinels": {
        "session_store_type": "redis",
        "redis_use_sentinel": True,
        "redis_sentinel_master_name": "main",
        "redis_sentinel_connection_urls": ["redis://s1:26379", "redis://s2"],
        "redis_password": PASSWORD,
        "redis_sentinel_password": PASSWORD,
    },
    "several applications and open paths": {
        "upstreams": ["http://127.0.0.1:8080/", "http://127.0.0.1:9000/api/", "http://127.0.0.1:9001/hook"],
        "skip_auth_routes": ["GET=^/health$", "^/static/", "POST=^/api/webhook$"],
    },
    "its own certificate": {
        "tls_cert_file": "cert.pem",
        "tls_key_file": "key.pem",
        "https_address": ":8443",
    },
    "login.gov's place for tests": {
        "provider": "login.gov",
        "login_url": "https://idp.int.identitysandbox.example/openid_connect/authorize",
        "jwt_key": PEM,
        "acr_values": "http://idmanagement.gov/ns/assurance/ial/1",
    },
    "hosts that may follow a sign-in": {"whitelist_domains": ["apps.example.com", "b.example.com:8443"]},
    "on this machine without https": {
        "redirect_url": "http://localhost:4180/oauth2/callback",
        "cookie_secure": False,
        "http_address": "127.0.0.1:4180",
    },
}


@pytest.mark.parametrize("case", WHOLE)
def test_the_new_configuration_passes_the_check(case: str, folder: Path) -> None:
    (folder / "key.pem").write_text("a key")
    (folder / "key.pem").chmod(0o600)
    write_old(folder, **WHOLE[case])
    code, said = migrate(folder)
    assert code == 0, said
    assert_passes_the_check(folder)
