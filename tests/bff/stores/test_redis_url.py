"""Reading `store.url`: every kind of deployment has a form.

Any other text is refused, and the message does not repeat it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bff.stores import StoreNotSupported, open_store
from bff.stores.memory import MemoryStore
from bff.stores.protocol import Store
from bff.stores.redis import RedisStore
from bff.stores.redis_url import Address, Login, RedisUrlRejected, TlsFiles, parse_redis_url
from tests.bff.factories import settings

SECRET = "hunter2-of-the-tests"


def test_one_server_has_defaults_for_port_and_database() -> None:
    target = parse_redis_url("redis://cache.internal")
    assert (target.kind, target.addresses, target.db) == ("single", (Address("cache.internal", 6379),), 0)
    assert (target.login, target.tls, target.replicas) == (Login(), None, None)


def test_user_and_password_are_percent_decoded() -> None:
    target = parse_redis_url("redis://app:p%40ss%3Aw%2Frd@[::1]:6380/3")
    assert target.login == Login("app", "p@ss:w/rd")
    assert (target.addresses, target.db) == ((Address("::1", 6380),), 3)


def test_a_password_without_a_user_belongs_to_the_default_user() -> None:
    assert parse_redis_url(f"redis://:{SECRET}@h").login == Login("", SECRET)


def test_a_rediss_url_checks_certificates_with_the_authority_it_names() -> None:
    target = parse_redis_url("rediss://h:1?ca_file=/ca.pem&certificate_file=/c.pem&key_file=/k.pem")
    assert target.tls == TlsFiles("/ca.pem", "/c.pem", "/k.pem")
    assert parse_redis_url("rediss://h").tls == TlsFiles()


def test_sentinels_are_a_list_with_a_service() -> None:
    target = parse_redis_url("redis+sentinel://u:p@s1:26379,s2,s3:5000/main/2?sentinel_password=x&replicas=2")
    assert target.addresses == (Address("s1", 26379), Address("s2", 26379), Address("s3", 5000))
    assert (target.service, target.db, target.replicas) == ("main", 2, 2)
    assert (target.login, target.sentinel_login) == (Login("u", "p"), Login("", "x"))


def test_a_cluster_is_a_list_of_nodes_and_may_use_tls() -> None:
    target = parse_redis_url("redis+cluster://a:7000,b:7001?tls=true&ca_file=/ca.pem")
    assert (target.kind, target.addresses) == ("cluster", (Address("a", 7000), Address("b", 7001)))
    assert target.tls == TlsFiles("/ca.pem")


@pytest.mark.parametrize(
    "rest",
    [
        "http://h",
        "redis://",
        "redis://:6379",
        "redis://h:port",
        "redis://h:0",
        "redis://h:70000",
        "redis://[::1",
        "redis://a,b",
        "redis://h/zero",
        "redis://h/1/2",
        "redis://h?db=1",
        "redis://h?tls=true",
        "redis://h?ca_file=/ca.pem",
        "redis://h?tls=false&tls=false",
        "redis://h?sentinel_password=x",
        "redis://h#fragment",
        "redis://h?novalue",
        "rediss://h?tls=false",
        "rediss://h?tls=perhaps",
        "rediss://h?certificate_file=/c.pem",
        "redis+sentinel://s1,s2",
        "redis+sentinel://s1,,s2/main",
        "redis+cluster://a/1",
        "redis+cluster://a?ca_file=/ca.pem",
        "redis+cluster://a?replicas=many",
    ],
)
def test_an_invalid_url_is_refused_and_not_repeated(rest: str) -> None:
    url = rest.replace("://", f"://user:{SECRET}@", 1)
    with pytest.raises(RedisUrlRejected) as caught:
        parse_redis_url(url)
    assert SECRET not in str(caught.value)


def test_neither_target_nor_store_shows_a_password() -> None:
    url = f"redis+sentinel://u:{SECRET}@h/main?sentinel_password={SECRET}"
    target = parse_redis_url(url)
    store = RedisStore(target, prefix="vestibule:", timeout=1)
    assert SECRET not in repr(target) + repr(store) + repr(vars(store))


def open_with(url: str, **store: object) -> Store:
    return open_store(settings(store={"url": url, **store}), clock=lambda: 0.0)


async def test_the_url_chooses_the_store_and_opens_no_connection() -> None:
    assert isinstance(open_with("memory://"), MemoryStore)
    for url in ("redis://127.0.0.1:1", "redis+sentinel://127.0.0.1:1/main", "redis+cluster://127.0.0.1:1"):
        store = open_with(url)
        assert isinstance(store, RedisStore)
        assert not store.is_hearing
        await store.aclose()


def test_a_missing_certificate_file_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(StoreNotSupported, match="no such file for ca_file") as caught:
        open_with(f"rediss://u:{SECRET}@h?ca_file={tmp_path / 'nowhere.pem'}")
    assert SECRET not in str(caught.value)


def test_a_malformed_url_keeps_the_store_from_being_opened() -> None:
    with pytest.raises(StoreNotSupported, match="port"):
        open_with(f"redis://u:{SECRET}@h:port")
