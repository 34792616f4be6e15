"""Write a proxy's file from a plan and one of the templates beside this module.

Each template is the file of `deploy/` for that proxy, with the operator's own hosts, addresses and headers in it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bff.settings.tables import ForwardAuthMode
from gateway.cli.proxy_config.plan import App, Plan, hosts_rule

Use = Literal["front", "forward-auth"]
PROXIES: Final[tuple[ForwardAuthMode, ...]] = get_args(ForwardAuthMode)
_SUFFIXES: Final = {"nginx": "conf", "caddy": "Caddyfile", "haproxy": "cfg", "traefik": "yaml", "envoy": "yaml"}
_CERTIFICATE: Final = "/etc/ssl/{host}.pem"
_KEY: Final = "/etc/ssl/{host}.key"
_HEADS: Final = {
    "nginx": "Include this file inside `http { }`; `nginx -t` checks it.",
    "caddy": "`caddy validate --adapter caddyfile --config FILE` checks it. Caddy 2.6 or newer.",
    "haproxy": "`haproxy -c -f FILE` checks it. HAProxy 2.6 or newer.",
    "traefik": "This is the dynamic half; deploy/traefik/traefik.yaml is the static one. Traefik 3.4 or newer.",
    "envoy": "`envoy --mode validate -c FILE` checks it. Envoy 1.36 or newer.",
}


def write_config(proxy: ForwardAuthMode, use: Use, plan: Plan) -> str:
    """Return the text of the file for `proxy`."""
    host = plan.names[0]
    template = _templates().get_template(f"{proxy}-{use}.{_SUFFIXES[proxy]}.j2")
    certificate, key = _CERTIFICATE.format(host=host), _KEY.format(host=host)
    fields = {field: getattr(plan, field) for field in _FIELDS}
    text = template.render(
        **fields,
        certificate=certificate,
        key=key,
        rule_of=lambda app: _traefik_rule(app, plan),
    )
    return _head(proxy, use, plan) + text


_FIELDS: Final = (
    *("url", "is_https", "port", "names", "sites", "apps", "vestibule", "verify", "own_pages", "verify_path", "oauth2"),
    *("closed", "identity", "told_as", "sent_as", "emptied", "head_kilobytes", "hosts", "has_secret"),
)


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=False,  # no HTML; what goes in is checked when the plan is made
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )


def _head(proxy: ForwardAuthMode, use: Use, plan: Plan) -> str:
    """What an operator must know before using the file, as comments."""
    lines = [f"{plan.url}: {proxy} {_PURPOSES[use]}", _HEADS[proxy]]
    if plan.is_https:
        lines.append("Write the paths of your own certificate and key in place of those in /etc/ssl.")
    if proxy == "haproxy" and use == "forward-auth":
        lines.append("Copy deploy/haproxy/vestibule.lua to /etc/haproxy: it asks, and it removes cookies.")
    wants = f'[forward_auth] modes = ["{proxy}"], and ' if use == "forward-auth" else ""
    lines.append(f"In vestibule.toml: {wants}the proxy's address in server.trusted_proxies.")
    return "".join(f"# {line}\n" for line in lines)


_PURPOSES: Final[dict[Use, str]] = {
    "front": "in front of Vestibule, which sends the requests on to the applications.",
    "forward-auth": "asks Vestibule about each request and sends it to the application itself.",
}


def _traefik_rule(app: App, plan: Plan) -> str:
    hosts = hosts_rule(app.names) if app.names else plan.hosts
    if app.is_exact:
        return f"{hosts} && Path(`{app.path}`)"
    return hosts if app.path == "/" else f"{hosts} && PathRegexp(`^{app.path.replace('.', '[.]')}(/|$)`)"
