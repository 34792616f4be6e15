"""The nginx configuration that oauth2-proxy publishes, directive by directive, and a real nginx that runs it.

Only names, ports and files differ, and the comments are ours. `proxy_pass` to the port 4180 is the front door's.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.fakes import CookieClient
from tests.security.nginx import running_nginx

HOST = "apps.localhost"
URL = f"https://{HOST}"
RECIPE = """
upstream backend { server 127.0.0.1:@backend; }
server {
  listen 127.0.0.1:@listen ssl;
  server_name apps.localhost;
  ssl_certificate @certificate;
  ssl_certificate_key @key;

  # sign-in, callback, sign-out
  location /oauth2/ {
    proxy_pass       http://127.0.0.1:4180;
    proxy_set_header Host                    $host;
    proxy_set_header X-Real-IP               $remote_addr;
    proxy_set_header X-Auth-Request-Redirect $request_uri;
  }
  # the question
  location = /oauth2/auth {
    proxy_pass       http://127.0.0.1:4180;
    proxy_set_header Host             $host;
    proxy_set_header X-Real-IP        $remote_addr;
    proxy_set_header X-Forwarded-Uri  $request_uri;
    proxy_set_header Content-Length   "";
    proxy_pass_request_body           off;
  }

  location / {
    auth_request /oauth2/auth;
    @refused

    # who it is
    auth_request_set $user   $upstream_http_x_auth_request_user;
    auth_request_set $email  $upstream_http_x_auth_request_email;
    proxy_set_header X-User  $user;
    proxy_set_header X-Email $email;

    # the token; this is the header that stays empty
    auth_request_set $token  $upstream_http_x_auth_request_access_token;
    proxy_set_header X-Access-Token $token;

    # cookies of the answer, in one piece or in two
    auth_request_set $auth_cookie $upstream_http_set_cookie;
    add_header Set-Cookie $auth_cookie;
    auth_request_set $auth_cookie_name_upstream_1 $upstream_cookie_auth_cookie_name_1;
    if ($auth_cookie ~* "(; .*)") {
        set $auth_cookie_name_0 $auth_cookie;
        set $auth_cookie_name_1 "auth_cookie_name_1=$auth_cookie_name_upstream_1$1";
    }
    if ($auth_cookie_name_upstream_1) {
        add_header Set-Cookie $auth_cookie_name_0;
        add_header Set-Cookie $auth_cookie_name_1;
    }

    proxy_pass http://backend/;
  }

  # for programs; the published line `error_page 401 =401;` makes nginx answer 302, whoever is asked
  location /programs/ {
    auth_request /oauth2/auth;
    proxy_pass http://backend/;
  }

  location @oauth2_signin {
    return 302 /oauth2/sign_in?rd=$scheme://$host$request_uri;
  }
}
"""
NAMED_LOCATION = "error_page 401 = @oauth2_signin;"
"""How the recipe sends a person to the sign-in since 2025. Before, it named the page itself, with one of the next."""
PAGE = "error_page 401 = /oauth2/sign_in;"
PAGE_WITH_403 = "error_page 401 =403 /oauth2/sign_in;"
MOVED = {
    "location = /oauth2/auth {\n    proxy_pass       http://127.0.0.1:4180;": "location = /oauth2/auth {\n"
    "    internal;\n    proxy_pass       http://127.0.0.1:8001/auth/verify/nginx;",
    "proxy_set_header X-Forwarded-Uri  $request_uri;": "proxy_set_header X-Original-Method $request_method;\n"
    "    proxy_set_header X-Original-URL    $scheme://$host$request_uri;",
    "$upstream_http_x_auth_request_access_token": "$upstream_http_authorization",
}
"""Published lines, and what they become if the question goes to a listener of its own."""


@contextmanager
def nginx_as_published(
    folder: Path,
    *,
    door: int,
    backend: int,
    certificate: tuple[Path, Path],
    refused: str = NAMED_LOCATION,
    verify: int = 0,
) -> Iterator[int]:
    """The recipe before the front door at port `door` and the application at port `backend`; gives nginx' port.

    With `verify` the question goes to that port, by the lines that the documentation names.
    """
    recipe = RECIPE
    if verify:
        for published, ours in MOVED.items():
            assert published in recipe
            recipe = recipe.replace(published, ours.replace("8001", str(verify)))
    text = recipe.replace("{", "{{").replace("}", "}}").replace("@listen", "{port}").replace("@refused", refused)
    text = text.replace("127.0.0.1:4180", f"127.0.0.1:{door}").replace("@backend", str(backend))
    text = text.replace("@certificate", str(certificate[0])).replace("@key", str(certificate[1]))
    with running_nginx(folder, text) as port:
        yield port


class AtNginx(httpx.HTTPTransport):
    """Takes what is meant for port 443 of `HOST` to the port of an nginx. Everything else goes where it is meant to."""

    def __init__(self, port: int, *, trust: ssl.SSLContext) -> None:
        super().__init__(verify=trust)
        self._port = port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host != HOST:
            return super().handle_request(request)
        return super().handle_request(
            httpx.Request(
                request.method,
                request.url.copy_with(host="127.0.0.1", port=self._port),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": HOST},
            )
        )


def browser_at(port: int, *, ca_file: Path) -> CookieClient:
    """A browser for which `URL` is that nginx."""
    return CookieClient(transport=AtNginx(port, trust=ssl.create_default_context(cafile=str(ca_file))))
