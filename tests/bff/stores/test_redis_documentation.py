"""docs/redis.md tells operators what the tests prove."""

from __future__ import annotations

from bff.stores.redis_url import KINDS, QUERY_KEYS
from tests.bff.stores.redis_servers import ACL_RULES
from tests.repository import ROOT

PAGE = (ROOT / "docs" / "redis.md").read_text(encoding="utf-8")


def test_the_documented_rights_are_those_the_tests_run_with() -> None:
    (line,) = (line for line in PAGE.splitlines() if line.startswith("user vestibule on "))
    assert sorted(line.split()[4:]) == sorted(ACL_RULES)


def test_every_kind_of_url_and_every_key_after_it_is_documented() -> None:
    assert [scheme for scheme in KINDS if f"`{scheme}://" not in PAGE] == []
    assert [key for key in QUERY_KEYS if f"`{key}" not in PAGE] == []
