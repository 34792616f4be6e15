"""Reading the address of an upstream."""

from __future__ import annotations

import pytest

from gateway.targets import Target, parse_target


@pytest.mark.parametrize(
    ("text", "target", "origin"),
    [
        ("http://127.0.0.1:9001", Target("127.0.0.1", 9001), "http://127.0.0.1:9001"),
        ("http://app/", Target("app", 80), "http://app"),
        ("https://app.internal", Target("app.internal", 443, is_tls=True), "https://app.internal"),
        ("https://app:8443/base/", Target("app", 8443, is_tls=True, base_path=b"/base"), "https://app:8443"),
        ("http://[::1]:9001", Target("::1", 9001), "http://[::1]:9001"),
        ("unix:/run/app.sock", Target("localhost", 80, socket_path="/run/app.sock"), ""),
        ("unix:///run/app.sock", Target("localhost", 80, socket_path="/run/app.sock"), ""),
    ],
)
def test_the_three_forms_of_an_upstream_are_read(text: str, target: Target, origin: str) -> None:
    assert parse_target(text) == target
    assert parse_target(text).origin == origin


def test_the_authority_of_an_upstream_is_its_host_header() -> None:
    assert parse_target("http://127.0.0.1:9001").authority == b"127.0.0.1:9001"
    assert parse_target("https://app/").authority == b"app"
    assert parse_target("unix:/run/app.sock").authority == b"localhost"


@pytest.mark.parametrize(
    "text",
    [
        "ftp://app",
        "app:9001",
        "http://",
        "http://user:pw@app",
        "http://app/?x=1",
        "http://app/#f",
        "http://app/a//b",
        "http://app/a b",
        "http://app:port",
        "http://app:99999",
        "unix:relative.sock",
        "",
    ],
)
def test_an_upstream_of_another_form_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_target(text)
