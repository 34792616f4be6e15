"""TK-3: providers that can be reached only through a forward proxy.

The proxy comes from the settings, never from the environment.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bff.settings.loading import load_settings
from gateway.processes.settings_text import to_masked, to_toml
from tests.fakes import CookieClient, FakeProvider
from tests.fakes.forward_proxy import ForwardProxy
from tests.front_door import provider_table
from tests.ports import free_port
from tests.security.certificates import Authority, make_authority
from tests.security.house import House
from tests.security.rejection import assert_rejected

USER = "door"
Build = Callable[..., House]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_authority(tmp_path)


@pytest.fixture
def far(authority: Authority, stack: ExitStack) -> FakeProvider:
    """An https provider whose certificate our own authority issued."""
    return stack.enter_context(FakeProvider(auto_login="alice", tls=authority.issue("127.0.0.1")))


@pytest.fixture
def proxy(stack: ExitStack) -> ForwardProxy:
    return stack.enter_context(ForwardProxy())


@pytest.fixture
def build(build_house: Build, far: FakeProvider, authority: Authority) -> Build:
    def build(outgoing: dict[str, Any], **over: Any) -> House:
        table = provider_table(far, ca_file=str(authority.ca_file), **over)
        return build_house(far, providers={"corp": table}, outgoing=outgoing)

    return build


def signed_in(house: House, authority: Authority) -> CookieClient:
    """Somebody whose browser trusts the far provider. It calls the provider directly."""
    browser = CookieClient(verify=ssl.create_default_context(cafile=str(authority.ca_file)))
    house.browsers.append(browser)
    house.sign_in(browser=browser)
    return browser


def address_of(provider: FakeProvider) -> str:
    return provider.issuer.split("/")[2]


def test_tk_3_all_calls_to_an_https_provider_go_through_the_proxy(
    build: Build, far: FakeProvider, proxy: ForwardProxy, authority: Authority
) -> None:
    house = build({"proxy_url": proxy.url})
    browser = signed_in(house, authority)
    house.door.do(house.door.app.bff.sign_in.providers["corp"].refresh_keys())
    assert {hit.endpoint for hit in far.hits} >= {"discovery", "jwks", "token", "userinfo"}
    assert set(proxy.tunnels) == {address_of(far)}
    assert all(head.startswith(b"CONNECT ") for head in proxy.heads)
    assert house.is_signed_in(browser)


def test_tk_3_nothing_goes_around_a_proxy_that_is_down(build: Build, far: FakeProvider) -> None:
    house = build({"proxy_url": f"http://127.0.0.1:{free_port()}"})
    url = f"{house.url}/auth/login"
    assert_rejected(house, lambda: house.browser().get(url), reason="provider_unreachable", statuses=[503])
    assert far.hits == []


def test_tk_3_the_environments_proxy_is_ignored(
    build: Build,
    far: FakeProvider,
    proxy: ForwardProxy,
    authority: Authority,
    stack: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of_environment = stack.enter_context(ForwardProxy())
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, of_environment.url)
    monkeypatch.setenv("NO_PROXY", "*")
    house = build({"proxy_url": proxy.url})
    signed_in(house, authority)
    assert set(proxy.tunnels) == {address_of(far)}
    assert of_environment.heads == []


def test_tk_3_hosts_of_no_proxy_are_called_directly(
    build: Build, far: FakeProvider, proxy: ForwardProxy, authority: Authority
) -> None:
    house = build({"proxy_url": proxy.url, "no_proxy": [".example.com", "127.0.0.0/8"]})
    signed_in(house, authority)
    assert far.hits
    assert proxy.heads == []


def test_tk_3_a_provider_may_have_a_proxy_of_its_own(
    build: Build, far: FakeProvider, proxy: ForwardProxy, authority: Authority, stack: ExitStack
) -> None:
    own = stack.enter_context(ForwardProxy())
    signed_in(build({"proxy_url": proxy.url}, proxy_url=own.url), authority)
    assert set(own.tunnels) == {address_of(far)}
    assert proxy.heads == []


def test_tk_3_a_plain_provider_goes_through_the_proxy_too(
    build_house: Build, provider: FakeProvider, proxy: ForwardProxy
) -> None:
    house = build_house(providers={"corp": provider_table(provider)}, outgoing={"proxy_url": proxy.url})
    house.sign_in()
    assert proxy.plain
    assert {address.split("/")[2] for address in proxy.plain} == {address_of(provider)}


@pytest.mark.parametrize("spelling", ["proxy_url", "proxy_url_file"])
def test_tk_3_the_proxys_password_goes_to_the_proxy_alone(
    build_house: Build, far: FakeProvider, authority: Authority, stack: ExitStack, tmp_path: Path, spelling: str
) -> None:
    proxy = stack.enter_context(ForwardProxy(user=USER, password="p@ss"))
    url = f"http://{USER}:p%40ss@127.0.0.1:{proxy.port}"
    file = tmp_path / "proxy-url"
    file.write_text(url + "\n")
    file.chmod(0o600)
    value = url if spelling == "proxy_url" else str(file)
    table = provider_table(far, ca_file=str(authority.ca_file))
    house = build_house(far, providers={"corp": table}, outgoing={spelling: value})
    signed_in(house, authority)
    assert set(proxy.tunnels) == {address_of(far)}
    token = base64.b64encode(f"{USER}:p@ss".encode()).decode()
    for secret in ("p@ss", "p%40ss", token):
        assert secret not in repr(house.audit)
        assert all(secret not in repr(hit) for hit in far.hits)
    shown = to_toml(to_masked(house.door.settings))
    assert "p%40ss" not in shown
    assert f"http://{USER}:********@127.0.0.1:{proxy.port}" in shown
    assert "p%40ss" not in repr(house.door.settings)


@pytest.mark.parametrize(("status", "how"), [(407, {"user": "other", "password": "x"}), (403, {"refuses": 403})])
def test_tk_3_a_proxy_that_refuses_is_named_in_the_log(
    build: Build, far: FakeProvider, stack: ExitStack, status: int, how: dict[str, Any]
) -> None:
    proxy = stack.enter_context(ForwardProxy(**how))
    house = build({"proxy_url": f"http://{USER}:secret-of-the-door@127.0.0.1:{proxy.port}"})
    url = f"{house.url}/auth/login"
    assert_rejected(house, lambda: house.browser().get(url), reason="provider_proxy", statuses=[503])
    (event,) = [line for line in house.audit if line.get("reason") == "provider_proxy"]
    assert event["detail"] == f"the proxy answered {status}"
    assert "secret-of-the-door" not in repr(house.audit)
    assert "words-of-the-proxy" not in repr(house.audit)
    assert far.hits == []


def test_tk_3_the_proxy_cannot_stand_in_for_the_provider(
    build_house: Build, far: FakeProvider, proxy: ForwardProxy
) -> None:
    """Without our authority, the certificate in the tunnel is not trusted."""
    house = build_house(far, providers={"corp": provider_table(far)}, outgoing={"proxy_url": proxy.url})
    url = f"{house.url}/auth/login"
    assert_rejected(house, lambda: house.browser().get(url), reason="provider_unreachable", statuses=[503])
    assert far.hits == []


def test_tk_3_the_address_of_the_proxy_may_come_from_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "vestibule.toml"
    file.write_text(
        '[server]\nenvironment = "development"\n[secrets]\nkeys = ["unit-test-key-0123456789-abcdefghijklmnop"]\n'
        '[providers.corp]\nissuer = "https://idp.example.com"\nclient_id = "x"\nclient_secret = "unit-test-secret"\n'
    )
    file.chmod(0o600)
    settings = load_settings(file, environ={"VESTIBULE_OUTGOING__PROXY_URL": "http://forward.example.com:3128"})
    assert settings.outgoing.proxy_url.get_secret_value() == "http://forward.example.com:3128"
