"""How each proxy is started with its files of `deploy/`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.proxies.deployed import FORWARD_AUTH, HOST, NAME, Places, Starter
from tests.repository import ROOT

CERTIFICATE = f"/etc/ssl/{NAME}.pem"
KEY = f"/etc/ssl/{NAME}.key"
NGINX_FRAME = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  include {folder}/site.conf;
}}
"""


def nginx_changes(places: Places, use: str) -> Mapping[str, str]:
    return {
        "listen 443 ssl;": f"listen 127.0.0.1:{places.proxy} ssl;",
        "listen 80;": f"listen unix:{places.folder}/plain.sock;",
        CERTIFICATE: str(places.certificate),
        KEY: str(places.key),
    }


def prepare_nginx(program: Path, places: Places, text: str) -> Sequence[str | Path]:
    (places.folder / "site.conf").write_text(text, encoding="utf-8")
    file = places.folder / "nginx.conf"
    frame = NGINX_FRAME.format(folder=places.folder)
    file.write_text("user root;\n" + frame if os.geteuid() == 0 else frame, encoding="utf-8")
    return [program, "-p", places.folder, "-c", file, "-e", places.folder / "error.log"]


def haproxy_changes(places: Places, use: str) -> Mapping[str, str]:
    own = {"/etc/haproxy/": f"{ROOT}/deploy/haproxy/"}
    return {
        **(own if use == FORWARD_AUTH else {}),
        "bind :443 ssl": f"bind 127.0.0.1:{places.proxy} ssl",
        "bind :80": f"bind unix@{places.folder}/plain.sock",
        CERTIFICATE: str(places.folder / "both.pem"),
    }


def prepare_haproxy(program: Path, places: Places, text: str) -> Sequence[str | Path]:
    (places.folder / "both.pem").write_bytes(places.certificate.read_bytes() + places.key.read_bytes())
    file = places.folder / "haproxy.cfg"
    file.write_text(text, encoding="utf-8")
    return [program, "-db", "-f", file]


def caddy_changes(places: Places, use: str) -> Mapping[str, str]:
    return {
        f"{NAME} {{": f"{HOST}:{places.proxy} {{\n\tbind 127.0.0.1",
        CERTIFICATE: str(places.certificate),
        KEY: str(places.key),
    }


def prepare_caddy(program: Path, places: Places, text: str) -> Sequence[str | Path]:
    file = places.folder / "Caddyfile"
    file.write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text, encoding="utf-8")
    own = [f"XDG_DATA_HOME={places.folder}", f"XDG_CONFIG_HOME={places.folder}"]
    return ["env", *own, program, "run", "--adapter", "caddyfile", "--config", file]


NGINX = Starter("nginx", "nginx", "conf", nginx_changes, prepare_nginx)
HAPROXY = Starter("haproxy", "haproxy", "cfg", haproxy_changes, prepare_haproxy)
CADDY = Starter("caddy", "caddy", "Caddyfile", caddy_changes, prepare_caddy)
STARTERS = {starter.mode: starter for starter in (NGINX, HAPROXY, CADDY)}
