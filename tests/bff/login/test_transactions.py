"""Started sign-ins: bound to one browser, taken once, limited in number."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Any

import pytest

from bff.browser.cookies import CookieNames, DuplicateCookie
from bff.errors import CallbackRejected, Unavailable
from bff.login.transactions import MAX_COOKIES, Transactions, cookie_name
from bff.oidc.authorization import new_secret
from bff.settings.tables import LimitSettings
from bff.stores.memory import MemoryStore
from tests.bff.factories import KEY, OLD_KEY, counting_random, keyring, transaction
from tests.fakes import FakeClock

SECURE = CookieNames.for_origin(secure=True)
PLAIN = CookieNames.for_origin(secure=False)
ADDRESS = "192.0.2.1"


@pytest.fixture
def transactions(store: MemoryStore) -> Transactions:
    return Transactions(store, keyring(), LimitSettings(pending_logins=5, pending_logins_per_address=3))


def new_state() -> str:
    return new_secret(counting_random)


async def reason(transactions: Transactions, state: str, *, address: str = ADDRESS) -> str:
    try:
        await transactions.take(state, address=address)
    except CallbackRejected as refused:
        return refused.code
    return ""


class TestKeeping:
    async def test_a_transaction_can_be_taken_once_with_all_its_values(self, transactions: Transactions) -> None:
        kept = transaction(replaces="ab" * 32, max_age=60.0, acr_values=("2", "3"), kit_client="dash", kit_binding="b")
        await transactions.keep(kept, address=ADDRESS)
        assert await transactions.take(kept.state, address=ADDRESS) == kept
        assert await reason(transactions, kept.state) == "callback_unknown"

    async def test_one_of_a_hundred_callbacks_gets_the_transaction(self, transactions: Transactions) -> None:
        await transactions.keep(transaction(), address=ADDRESS)
        outcomes = await asyncio.gather(*(reason(transactions, "s" * 43) for _ in range(100)))
        assert sorted(set(outcomes)) == ["", "callback_unknown"]
        assert outcomes.count("") == 1

    async def test_a_state_without_a_transaction_is_unknown(self, transactions: Transactions) -> None:
        assert await reason(transactions, new_state()) == "callback_unknown"

    async def test_a_transaction_is_valid_for_ten_minutes(self, transactions: Transactions, clock: FakeClock) -> None:
        await transactions.keep(transaction(), address=ADDRESS)
        clock.advance(600)
        assert await reason(transactions, "s" * 43) == "callback_unknown"

    async def test_the_callback_may_come_from_another_address(self, transactions: Transactions) -> None:
        await transactions.keep(transaction(), address=ADDRESS)
        assert await reason(transactions, "s" * 43, address="203.0.113.9") == ""

    async def test_the_store_does_not_see_the_secrets_or_the_address(
        self, transactions: Transactions, store: MemoryStore
    ) -> None:
        await transactions.keep(transaction(), address=ADDRESS)
        dump = repr(store._values)
        for secret in ("s" * 43, "n" * 43, "v" * 43, "team=red", ADDRESS):
            assert secret not in dump

    async def test_a_transaction_can_be_opened_after_a_key_rotation(self, store: MemoryStore) -> None:
        limits = LimitSettings()
        await Transactions(store, keyring(OLD_KEY), limits).keep(transaction(), address=ADDRESS)
        rotated = Transactions(store, keyring(KEY, OLD_KEY), limits)
        assert await rotated.take("s" * 43, address=ADDRESS) == transaction()

    @pytest.mark.parametrize("change", [{"state": 1, "new": 2}, {"acr_values": None}])
    async def test_a_transaction_with_another_schema_is_unknown(
        self, transactions: Transactions, store: MemoryStore, change: dict[str, Any]
    ) -> None:
        await transactions.keep(transaction(), address=ADDRESS)
        (name,) = store._values["login"]
        table = json.dumps(asdict(transaction()) | change).encode()
        store._values["login"][name].value = keyring().seal(table, purpose="transaction", name=name)
        assert await reason(transactions, "s" * 43) == "callback_unknown"

    async def test_a_transaction_moved_to_another_name_is_unknown(
        self, transactions: Transactions, store: MemoryStore
    ) -> None:
        await transactions.keep(transaction(), address=ADDRESS)
        await transactions.keep(transaction(state="t" * 43), address=ADDRESS)
        first, second = store._values["login"].values()
        first.value, second.value = second.value, first.value
        assert await reason(transactions, "s" * 43) == "callback_unknown"


class TestCaps:
    async def start(self, transactions: Transactions, address: str = ADDRESS) -> str:
        state = new_state()
        await transactions.keep(transaction(state=state), address=address)
        return state

    async def test_the_number_of_transactions_of_one_address_is_limited(self, transactions: Transactions) -> None:
        for _ in range(3):
            state = await self.start(transactions)
        with pytest.raises(Unavailable) as refused:
            await self.start(transactions)
        assert (refused.value.code, refused.value.status) == ("login_limit", 503)
        await self.start(transactions, "203.0.113.9")
        await transactions.take(state, address=ADDRESS)
        await self.start(transactions)

    async def test_the_number_of_transactions_of_all_addresses_is_limited(self, transactions: Transactions) -> None:
        for number in range(5):
            await self.start(transactions, f"192.0.2.{number}")
        with pytest.raises(Unavailable):
            await self.start(transactions, "203.0.113.9")

    async def test_many_refused_sign_ins_leave_no_transactions(
        self, transactions: Transactions, store: MemoryStore
    ) -> None:
        for number in range(5):
            await self.start(transactions, f"192.0.2.{number}")
        kept = sum(map(len, store._values.values()))
        for number in range(200):
            with pytest.raises(Unavailable):
                await self.start(transactions, f"203.0.113.{number}")
        assert sum(map(len, store._values.values())) == kept == 10

    async def test_an_expired_transaction_gives_its_place_back(
        self, transactions: Transactions, clock: FakeClock
    ) -> None:
        for _ in range(3):
            await self.start(transactions)
        clock.advance(600)
        await self.start(transactions)


class TestBinding:
    def cookies(
        self, transactions: Transactions, state: str, *, sent: list[bytes] | None = None, **over: Any
    ) -> list[str]:
        arguments: dict[str, Any] = {"names": SECURE, "now": 1000.9, "cross_site": False} | over
        return transactions.cookies_to_set(state, sent=sent or [], **arguments)

    def sent_back(self, set_cookie: str) -> list[bytes]:
        return [set_cookie.partition(";")[0].encode()]

    def is_bound(self, transactions: Transactions, state: str, sent: list[bytes], *, now: float = 1000.0) -> bool:
        return transactions.is_bound(state, names=SECURE, sent=sent, now=now)

    def test_the_binding_cookie_is_valid_for_ten_minutes(self, transactions: Transactions) -> None:
        (cookie,) = self.cookies(transactions, "s" * 43)
        sent = self.sent_back(cookie)
        for now, bound in ((1000, True), (940, True), (1600, True), (1601, False), (939, False)):
            assert self.is_bound(transactions, "s" * 43, sent, now=now) is bound

    def test_the_binding_cookie_is_short_and_contains_no_information(self, transactions: Transactions) -> None:
        (cookie,) = self.cookies(transactions, "s" * 43)
        assert cookie.startswith(cookie_name("s" * 43, SECURE) + "=1000.")
        assert cookie.endswith("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600")
        assert len(self.sent_back(cookie)[0]) <= 100
        assert "s" * 43 not in cookie

    def test_the_binding_cookie_is_sent_across_sites_only_for_form_post_on_https(
        self, transactions: Transactions
    ) -> None:
        assert "SameSite=None" in self.cookies(transactions, "s" * 43, cross_site=True)[0]
        plain = self.cookies(transactions, "s" * 43, cross_site=True, names=PLAIN)[0]
        assert "SameSite=Lax" in plain
        assert "Secure" not in plain
        assert plain.startswith("vestibule-tx-")

    def test_another_browser_without_the_binding_cookie_is_not_bound(self, transactions: Transactions) -> None:
        own, other = new_state(), new_state()
        (cookie,) = self.cookies(transactions, other)
        assert not self.is_bound(transactions, own, [])
        assert not self.is_bound(transactions, own, self.sent_back(cookie))
        renamed = self.sent_back(cookie)[0].replace(
            cookie_name(other, SECURE).encode(), cookie_name(own, SECURE).encode()
        )
        assert not self.is_bound(transactions, own, [renamed])

    @pytest.mark.parametrize("change", ["stamp", "signature", "empty", "letters", "endless", "digits", "bare"])
    def test_a_changed_binding_cookie_is_not_accepted(self, transactions: Transactions, change: str) -> None:
        (cookie,) = self.cookies(transactions, "s" * 43)
        name, _, value = cookie.partition(";")[0].partition("=")
        stamp, _, signature = value.partition(".")
        values = {
            "stamp": f"1001.{signature}",
            "signature": f"{stamp}.{'A' * 43}",
            "empty": "",
            "letters": f"x.{signature}",
            "endless": f"{'1' * 16}.{signature}",
            "digits": f"\u00b2.{signature}",
            "bare": stamp,
        }
        sent = f"{name}={values[change]}".encode("latin-1")
        assert not self.is_bound(transactions, "s" * 43, [sent])

    def test_two_binding_cookies_are_an_error_of_their_own(self, transactions: Transactions) -> None:
        (cookie,) = self.cookies(transactions, "s" * 43)
        with pytest.raises(DuplicateCookie):
            self.is_bound(transactions, "s" * 43, self.sent_back(cookie) * 2)

    def test_a_binding_cookie_signed_for_another_purpose_is_not_accepted(self, transactions: Transactions) -> None:
        stamp = "1000"
        signature = keyring().sign("s" * 43 + "|" + stamp, purpose="session").rpartition(".")[2]
        sent = f"{cookie_name('s' * 43, SECURE)}={stamp}.{signature}".encode()
        assert not self.is_bound(transactions, "s" * 43, [sent])

    def test_a_binding_cookie_signed_with_the_old_key_is_accepted(self, store: MemoryStore) -> None:
        limits = LimitSettings()
        (cookie,) = self.cookies(Transactions(store, keyring(OLD_KEY), limits), "s" * 43)
        rotated = Transactions(store, keyring(KEY, OLD_KEY), limits)
        assert self.is_bound(rotated, "s" * 43, self.sent_back(cookie))

    def test_the_oldest_binding_cookies_are_cleared_when_there_are_more_than_twenty(
        self, transactions: Transactions
    ) -> None:
        states = [new_state() for _ in range(23)]
        names = [cookie_name(state, SECURE) for state in states]
        sent = ["; ".join(f"{name}=1.x" for name in names[:22]).encode()]
        *cleared, fresh = self.cookies(transactions, states[22], sent=sent)
        assert [cookie.partition("=")[0] for cookie in cleared] == names[:3]
        assert all("Max-Age=0" in cookie for cookie in cleared)
        assert fresh.startswith(names[22] + "=")
        assert 22 - len(cleared) + 1 == MAX_COOKIES

    def test_up_to_nineteen_other_binding_cookies_are_kept(self, transactions: Transactions) -> None:
        sent = ["; ".join(f"{cookie_name(new_state(), SECURE)}=1.x" for _ in range(19)).encode()]
        assert len(self.cookies(transactions, new_state(), sent=sent)) == 1
