"""The line of a proxy's configuration that repairs each fault: nginx first, others where their line is known."""

from __future__ import annotations

from typing import Final, Literal

Fault = Literal[
    "redirect",
    "host",
    "upgrade",
    "http",
    "answer_buffered",
    "request_buffered",
    "forwarded_for",
    "forwarded_proto",
    "forwarded_host",
    "proxy_secret",
    "verify",
    "cookie_changed",
    "cookie_dropped",
    "cached",
    "header_in",
    "header_out",
    "time_out",
]
FIXES: Final[dict[Fault, tuple[tuple[str, str], ...]]] = {
    "redirect": (
        ("nginx", "server {{ listen 80; server_name {host}; return 301 https://{host}$request_uri; }}"),
        ("HAProxy", "http-request redirect scheme https code 301 unless {{ ssl_fc }}"),
        ("Traefik", "entryPoints.web.http.redirections.entryPoint.to: websecure"),
    ),
    "host": (
        ("nginx", "proxy_set_header Host $http_host;"),
        ("Caddy", "remove header_up Host"),
        ("HAProxy", "remove http-request set-header Host"),
        ("Envoy", "remove host_rewrite_literal"),
    ),
    "upgrade": (
        (
            "nginx",
            "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
            "proxy_set_header Connection $connection_upgrade;",
        ),
        ("Envoy", "upgrade_configs: [{{ upgrade_type: websocket }}]"),
    ),
    "http": (("nginx", "proxy_http_version 1.1;"),),
    "answer_buffered": (
        ("nginx", "proxy_buffering off;"),
        ("Caddy", "flush_interval -1, and no buffer_responses or response_buffers"),
    ),
    "request_buffered": (
        ("nginx", "proxy_request_buffering off;"),
        ("HAProxy", "no option http-buffer-request"),
        ("Caddy", "no buffer_requests or request_buffers"),
        ("Traefik", "remove the middleware buffering"),
    ),
    "forwarded_for": (
        ("nginx", "proxy_set_header X-Forwarded-For $remote_addr;"),
        ("HAProxy", "http-request set-header X-Forwarded-For %[src]"),
        ("Caddy", "remove trusted_proxies"),
        ("Traefik", "remove forwardedHeaders.insecure"),
    ),
    "forwarded_proto": (
        ("nginx", "proxy_set_header X-Forwarded-Proto $scheme;"),
        ("HAProxy", "http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}"),
    ),
    "forwarded_host": (
        ("nginx", "proxy_set_header X-Forwarded-Host $http_host;"),
        ("HAProxy", "http-request set-header X-Forwarded-Host %[req.hdr(host)]"),
    ),
    "proxy_secret": (
        ("nginx", 'proxy_set_header X-Vestibule-Proxy "…";'),
        ("HAProxy", 'http-request set-header X-Vestibule-Proxy "…"'),
        ("Caddy", 'header_up X-Vestibule-Proxy "…"'),
    ),
    "verify": (
        ("nginx", "location {auth}/ {{ proxy_pass http://{bind}; }}"),
        ("any", "pass {auth}/ to server.bind ({bind}), never to forward_auth.bind"),
    ),
    "cookie_changed": (("nginx", "remove proxy_cookie_flags, proxy_cookie_path and proxy_cookie_domain"),),
    "cookie_dropped": (("nginx", 'remove proxy_set_header Cookie "";'), ("Caddy", "remove header_up -Cookie")),
    "cached": (("nginx", "remove proxy_cache, proxy_cache_valid and proxy_ignore_headers"),),
    "header_in": (("nginx", "large_client_header_buffers 4 32k;"), ("HAProxy", "tune.bufsize 65536")),
    "header_out": (
        ("nginx", "proxy_buffer_size 64k; proxy_buffers 4 64k;"),
        ("HAProxy", "tune.bufsize 65536"),
    ),
    "time_out": (
        ("nginx", "proxy_read_timeout 3600s;"),
        ("HAProxy", "timeout server 1h; timeout tunnel 1h"),
        ("Envoy", "timeout: 0s, in the route"),
    ),
}


def fix(fault: Fault, **values: str) -> str:
    """Write the lines for `fault` on one line: `nginx: …; HAProxy: …`."""
    return " | ".join(f"{program}: {line.format(**values)}" for program, line in FIXES[fault])


def body_fix(size: int) -> str:
    """Write the lines that allow a body of `size` bytes."""
    mebibytes = -(-size // 2**20)
    return f"nginx: client_max_body_size {mebibytes}m; | Traefik: buffering.maxRequestBodyBytes: {size}"
