"""The page of security requirements and the tests agree, in both directions."""

from __future__ import annotations

from tests.security_requirements import OPEN, PAGE, find_tests, items_of, listed_items, with_tests

NOT_BUILT_YET = frozenset({"DS-6", "LG-5", "RS-7", "SL-3", "TK-8"})
"""Items that no test holds today. Take an item out of this list with the change that adds its first test."""


def test_requirement_ids_are_read_from_test_names() -> None:
    assert items_of("test_cb_4_iss_of_another_issuer") == ("CB-4",)
    assert items_of("test_lo_7_to_lo_9_a_broken_token") == ("LO-7", "LO-8", "LO-9")
    assert items_of("test_a_page_is_shown") == ()


def test_every_requirement_id_in_a_test_name_is_on_the_page() -> None:
    unknown = set(find_tests()) - set(listed_items(PAGE.read_text(encoding="utf-8")))
    assert not unknown


def test_the_page_lists_each_requirement_once() -> None:
    items = listed_items(PAGE.read_text(encoding="utf-8"))
    assert len(items) == len(set(items)) == 151


def test_the_page_lists_the_tests_of_each_requirement() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_tests(page, find_tests()), "run: python -m tests.security_requirements"


def test_only_requirements_that_are_not_built_yet_have_no_test() -> None:
    page = PAGE.read_text(encoding="utf-8")
    is_open = {line.split(" | ")[0].removeprefix("| ") for line in page.splitlines() if line.endswith(f" | {OPEN} |")}
    assert is_open == NOT_BUILT_YET
