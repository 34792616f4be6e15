"""FA-2, FA-4: the manifests of `deploy/kubernetes/` use only fields that these kinds have, and name each header."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.repository import ROOT
from tests.security.asking import IDENTITY

FOLDER = ROOT / "deploy" / "kubernetes"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))
TOLD = {*IDENTITY, "authorization", "cookie"}
BACKEND = {"name": str, "port": int}
TARGET = {"group": str, "kind": str, "name": str}
FILTER = {"type": str, "extensionRef": TARGET}
HTTP_ROUTE = {
    "parentRefs": [{"name": str}],
    "hostnames": [str],
    "rules": [
        {
            "matches": [{"path": {"type": str, "value": str}}],
            "filters": [FILTER],
            "backendRefs": [BACKEND],
            "timeouts": {"request": str},
        }
    ],
}
EXT_AUTH = {
    "failOpen": bool,
    "headersToExtAuth": [str],
    "http": {"backendRefs": [BACKEND], "path": str, "headersToBackend": [str]},
}
CLIENT_TRAFFIC = {
    "targetRefs": [TARGET],
    "path": {"escapedSlashesAction": str, "disableMergeSlashes": bool},
    "headers": {"withUnderscoresAction": str, "earlyRequestHeaders": {"remove": [str]}},
}
FORWARD_AUTH = {
    "address": str,
    "trustForwardHeader": bool,
    "authResponseHeaders": [str],
    "authResponseHeadersRegex": str,
}
PATHS = [{"path": str, "pathType": str, "backend": {"service": {"name": str, "port": {"number": int}}}}]
INGRESS = {"ingressClassName": str, "rules": [{"host": str, "http": {"paths": PATHS}}]}
SPECS: dict[tuple[str, str], Any] = {
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): HTTP_ROUTE,
    ("gateway.envoyproxy.io/v1alpha1", "SecurityPolicy"): {"targetRefs": [TARGET], "extAuth": EXT_AUTH},
    ("gateway.envoyproxy.io/v1alpha1", "ClientTrafficPolicy"): CLIENT_TRAFFIC,
    ("traefik.io/v1alpha1", "Middleware"): {"forwardAuth": FORWARD_AUTH},
    ("networking.k8s.io/v1", "Ingress"): INGRESS,
}
"""What we use of each kind, by the definitions of their projects."""
ENUMS = {
    "escapedSlashesAction": {"KeepUnchanged", "RejectRequest", "UnescapeAndForward", "UnescapeAndRedirect"},
    "withUnderscoresAction": {"Allow", "RejectRequest", "DropHeader"},
    "pathType": {"Exact", "Prefix", "ImplementationSpecific"},
    "type": {"Exact", "PathPrefix", "RegularExpression", "ExtensionRef"},
}
ANNOTATIONS = {
    *("auth-url", "auth-signin", "auth-signin-redirect-param", "auth-response-headers"),
    *("proxy-buffering", "proxy-read-timeout"),
}


def documents(name: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")) if one]


def the_one(name: str, kind: str) -> dict[str, Any]:
    (found,) = [one["spec"] for one in documents(name) if one["kind"] == kind]
    assert isinstance(found, dict)
    return found


def faults(value: Any, schema: Any, where: str) -> list[str]:
    """What `value` has that `schema` does not know, with its place."""
    if isinstance(schema, list):
        if not isinstance(value, list) or not value:
            return [f"{where} is no list, or empty"]
        return [fault for number, one in enumerate(value) for fault in faults(one, schema[0], f"{where}[{number}]")]
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            return [f"{where} is no table"]
        unknown = [f"{where}.{key} is unknown" for key in value if key not in schema]
        known = [fault for key in value.keys() & schema for fault in faults(value[key], schema[key], f"{where}.{key}")]
        return unknown + known
    if type(value) is not schema:
        return [f"{where} is no {schema.__name__}"]
    allowed = ENUMS.get(where.rpartition(".")[2])
    return [f"{where} cannot be {value}"] if allowed and value not in allowed else []


@pytest.mark.parametrize("name", FILES)
def test_fa_2_each_field_is_one_that_its_kind_has(name: str) -> None:
    for document in documents(name):
        assert set(document) == {"apiVersion", "kind", "metadata", "spec"}
        kind = (document["apiVersion"], document["kind"])
        assert faults(document["spec"], SPECS[kind], document["kind"]) == []
        for annotation in document["metadata"].get("annotations", {}):
            prefix, _, rest = annotation.partition("/")
            assert (prefix, rest in ANNOTATIONS) == ("nginx.ingress.kubernetes.io", True)


@pytest.mark.parametrize(
    ("value", "schema"),
    [({"b": 1}, {"a": int}), ({"a": "x"}, {"a": int}), ([], [str]), ({"pathType": "Some"}, {"pathType": str})],
    ids=["unknown field", "wrong type", "empty list", "wrong word"],
)
def test_a_wrong_field_is_found(value: Any, schema: Any) -> None:
    assert faults(value, schema, "spec") != []


def test_fa_2_envoy_gateway_asks_as_the_file_for_envoy_does() -> None:
    policy = the_one("envoy-gateway.yaml", "SecurityPolicy")["extAuth"]
    config = yaml.safe_load((ROOT / "deploy" / "envoy" / "forward-auth.yaml").read_text(encoding="utf-8"))
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    authz = manager["http_filters"][0]["typed_config"]
    exact = {one["exact"] for one in authz["allowed_headers"]["patterns"] if "exact" in one}
    fetch = {"sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "sec-fetch-user"}
    assert set(policy["headersToExtAuth"]) == exact | fetch
    assert policy["failOpen"] is False
    assert policy["http"]["path"] == authz["http_service"]["path_prefix"]
    assert set(policy["http"]["headersToBackend"]) == TOLD


def test_fa_4_envoy_gateway_removes_each_identity_header_of_a_client() -> None:
    removed = the_one("envoy-gateway.yaml", "ClientTrafficPolicy")["headers"]["earlyRequestHeaders"]["remove"]
    assert set(IDENTITY) <= set(removed)
    assert len(removed) <= 64, "the kind takes no more"


def test_fa_4_traefik_has_the_middleware_of_its_file() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "traefik" / "forward-auth.yaml").read_text(encoding="utf-8"))
    expected = config["http"]["middlewares"]["ask-vestibule"]["forwardAuth"]
    found = the_one("traefik.yaml", "Middleware")["forwardAuth"]
    assert {**found, "address": ""} == {**expected, "address": ""}
    assert found["address"].endswith(":8001/auth/verify/traefik")


def test_fa_4_ingress_nginx_replaces_each_identity_header() -> None:
    annotations = next(
        one["metadata"]["annotations"] for one in documents("ingress-nginx.yaml") if one["kind"] == "Ingress"
    )
    told = annotations["nginx.ingress.kubernetes.io/auth-response-headers"].lower().split(",")
    assert set(told) == TOLD - {"cookie"}
