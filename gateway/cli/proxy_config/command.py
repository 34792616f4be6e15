"""`vestibule proxy-config`: print the proxy's part of a configuration."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from bff import contract
from gateway.cli.loaded_settings import load_for_a_look, say_aside
from gateway.cli.options import Config

USUAL_VERIFY = contract.AUTH_PATH + contract.PATH_VERIFY


class Proxy(StrEnum):
    NGINX = "nginx"
    CADDY = "caddy"
    TRAEFIK = "traefik"
    ENVOY = "envoy"
    HAPROXY = "haproxy"


class Mode(StrEnum):
    FRONT = "front"
    FORWARD_AUTH = "forward-auth"


def proxy_config(
    proxy: Annotated[Proxy, typer.Argument(help="The proxy that you have.")],
    mode: Annotated[
        Mode, typer.Option("--mode", help="front: it sends everything to Vestibule. forward-auth: it asks Vestibule.")
    ],
    route: Annotated[str, typer.Option("--route", help="Only this route, with forward-auth.")] = "",
    config: Config = None,
) -> None:
    """Print the proxy's configuration for your own vestibule.toml, each line explained."""
    from gateway.cli.proxy_config.plan import build_plan
    from gateway.cli.proxy_config.writing import write_config

    settings = load_for_a_look(config)[0].settings
    plan = build_plan(settings, route_id=route)
    typer.echo(write_config(proxy.value, mode.value, plan), nl=False)
    if mode is Mode.FORWARD_AUTH:
        if proxy.value not in settings.forward_auth.modes:
            say_aside(f'add "{proxy.value}" to forward_auth.modes, or Vestibule does not answer this proxy')
        if proxy is Proxy.HAPROXY and plan.verify_path != USUAL_VERIFY:
            say_aside(f"write {plan.verify_path} in place of {USUAL_VERIFY} in vestibule.lua")
        for note in plan.notes:
            say_aside(note)
    if not settings.server.trusted_proxies:
        say_aside("add the proxy's address to server.trusted_proxies, or Vestibule does not believe it")
