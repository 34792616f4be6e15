"""CK-6: what a cache before the front door does with answers for one person, or for one kind of client.

Most tests use a real nginx that keeps everything it may, refusals too, only by address.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes import RecordedRequest, RecordingUpstream, Reply
from tests.fakes.replies import make_reply
from tests.front_door import page_route
from tests.security.house import House
from tests.security.nginx import running_nginx
from tests.security.raw import SAME_ORIGIN, RawAnswer, exchange, handshake, open_websocket, read_all

IN_PROCESS = "asgi:tests.security.odd_answers:app"
KEEPS_EVERYTHING = """
  proxy_cache_path {{folder}}/cache keys_zone=shared:1m inactive=1h;
  map $http_upgrade $connection_upgrade {{{{ default upgrade; '' ''; }}}}
  server {{{{
    listen 127.0.0.1:{{port}};
    location / {{{{
      proxy_pass http://127.0.0.1:{door};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_cache shared;
      proxy_cache_key $request_uri;
      proxy_cache_valid any 1h;
      add_header X-Cache-Status $upstream_cache_status always;
    }}}}
  }}}}
"""


def refused_handshake(port: int, request: bytes) -> RawAnswer:
    answer, client = open_websocket(port, request)
    with client:
        return RawAnswer.parse(answer.received + read_all(client))


def test_ck_6_a_shared_cache_does_not_give_the_handshake_answer_of_one_person_to_others(
    house: House, tmp_path: Path
) -> None:
    """A cache that looks only at addresses would use the refusal as the answer to a plain GET."""
    alice = house.session_cookie(house.sign_in("alice"))
    bob = house.session_cookie(house.sign_in("bob"))
    house.upstream.respond("/*", status=404, headers=[("Cache-Control", "private")], body="no room for alice")
    with running_nginx(tmp_path, KEEPS_EVERYTHING.format(door=house.door.port)) as port:
        refused = refused_handshake(port, handshake("/api/room", house.host, cookie=alice))
        house.upstream.respond("/*", body="hello bob")
        to_bob = RawAnswer.parse(exchange(port, house.request("/api/room", SAME_ORIGIN, cookie=bob)))
        to_nobody = RawAnswer.parse(exchange(port, house.request("/api/room", SAME_ORIGIN)))
    assert (refused.status, b"alice" in refused.received) == (404, True)
    assert (to_bob.status, b"hello bob" in to_bob.received) == (200, True)
    assert to_nobody.status == 401


@pytest.mark.parametrize("path", ["/closed", "/say/404"])
def test_ck_6_a_handshake_refused_by_an_application_in_this_process_is_not_cached_for_others(
    build_house: Callable[..., House], path: str
) -> None:
    house = build_house(routes=[page_route(IN_PROCESS, auth="public")])
    answer = refused_handshake(house.door.port, handshake(path, house.host))
    assert answer.status in (403, 404)
    assert {"no-store", "private"} & {part.strip() for part in answer.header("cache-control").split(",")}


def test_ck_6_the_vary_header_is_one_line(
    build_house: Callable[..., House], upstream: RecordingUpstream, tmp_path: Path
) -> None:
    """If there are several lines, nginx before 1.23 uses the last.

    That would be our `Origin`, and the application's line would be lost.
    """

    def in_its_language(request: RecordedRequest) -> Reply:
        language = request.header("accept-language") or "none"
        headers = {"Cache-Control": "public, max-age=60", "Vary": "Accept-Language"}
        return make_reply(body=language, headers={**headers, "Content-Type": "text/plain"})

    house = build_house(
        routes=[page_route(upstream, id="site", path="/site", auth="public", cors_origins=["https://a.example"])]
    )
    upstream.respond_with("/*", in_its_language)
    with running_nginx(tmp_path, KEEPS_EVERYTHING.format(door=house.door.port)) as port:
        answers = [
            RawAnswer.parse(exchange(port, house.request("/site/x", f"Accept-Language: {language}")))
            for language in ("de", "fr")
        ]
    assert [answer.all("vary") for answer in answers] == [["Accept-Language, Origin"]] * 2
    assert [answer.received.endswith(language) for answer, language in zip(answers, (b"de", b"fr"), strict=True)] == [
        True,
        True,
    ]


@pytest.mark.parametrize(
    "lines",
    [['x="', "no-store", 'y="'], [r'x="\", no-store, public, y="'], ["no-store"], ['x="no-store, public']],
    ids=["quotation-over-three-lines", "escaped-quotation-mark", "plain", "open-quotation"],
)
def test_ck_6_private_is_the_first_cache_control_directive(house: House, lines: list[str]) -> None:
    house.upstream.respond("/*", body="x", headers=[("Cache-Control", line) for line in lines])
    answer = house.get_raw("/api/x", SAME_ORIGIN, cookie=house.session_cookie(house.sign_in()))
    assert [value.partition(",")[0] for value in answer.all("cache-control")] == ["private"]


@pytest.mark.parametrize(
    "name",
    ["Edge-Control", "CF-Edge-Cache", "Netlify-Vary", "X-LiteSpeed-Cache-Control", "X-LiteSpeed-Vary"],
)
def test_ck_6_cache_headers_for_single_cdns_do_not_override_private(house: House, name: str) -> None:
    house.upstream.respond("/*", body="x", headers=[(name, "public, max-age=3600")])
    answer = house.get_raw("/api/x", SAME_ORIGIN, cookie=house.session_cookie(house.sign_in()))
    assert (answer.status, answer.all(name.lower())) == (200, [])
