"""TLS on the public listener: people get https, kits on this machine a plain listener that only loopback reaches."""

from __future__ import annotations

import datetime
import json
import secrets
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.gateway.running_processes import command_line_of, descendants
from tests.repository import ROOT


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 for an hour, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
    key_file.chmod(0o600)
    return certificate_file, key_file


@pytest.fixture
def door(tmp_path: Path, certificate: tuple[Path, Path]) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    tmp_path.chmod(0o755)  # a page runs as another user where the front door may switch
    (tmp_path / "app.py").write_text("import streamlit as st\n")
    certificate_file, key_file = certificate
    settings = {
        "server": {
            "public_url": "https://127.0.0.1:8443",
            "bind": "127.0.0.1:0",
            "management_bind": "127.0.0.1:0",
            "tls": {"certificate_file": str(certificate_file), "key_file": str(key_file)},
        },
        "secrets": {"keys": [secrets.token_urlsafe(32)]},
        "providers": {"corp": {"issuer": "https://idp.example.com", "client_id": "x", "client_auth": "none"}},
        "routes": [{"id": "pages", "path": "/", "upstream": "streamlit:app.py", "kit": "pages"}],
        "kit_clients": {"pages": {"secret": secrets.token_urlsafe(24)}},
    }
    (tmp_path / "door.json").write_text(json.dumps({"settings": settings}))
    command = [sys.executable, "-m", "tests.gateway.stand_in_door", str(tmp_path / "door.json")]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, (tmp_path / "log").read_text()
    yield process, json.loads(line)
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    process.stdout.close()


def test_browsers_use_https_and_the_kit_uses_a_plain_listener(
    door: tuple[subprocess.Popen[str], dict[str, str]], certificate: tuple[Path, Path]
) -> None:
    process, said = door
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    public = httpx.get(f"https://{said['bind']}/settings", verify=trusting).json()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://{said['bind']}/")
    [internal] = public["internal_hosts"]
    assert internal.startswith("127.0.0.1:")
    assert internal != said["bind"]
    assert httpx.get(f"http://{internal}/settings").json() == public
    assert public["marked"] == [True]
    assert [command_line_of(pid) for pid in descendants(process.pid) if "streamlit run" in command_line_of(pid)]


def test_the_internal_listener_refuses_an_invalid_host(door: tuple[subprocess.Popen[str], dict[str, str]]) -> None:
    process, _ = door
    [worker] = [pid for pid in descendants(process.pid) if "gateway.processes.worker" in command_line_of(pid)]
    assert "--internal=" in command_line_of(worker)
    environments = [Path(f"/proc/{pid}/environ").read_bytes() for pid in descendants(process.pid)]
    [kit_url] = {
        part.removeprefix(b"VESTIBULE_KIT__URL=").decode()
        for environment in environments
        for part in environment.split(b"\0")
        if part.startswith(b"VESTIBULE_KIT__URL=")
    }
    assert httpx.get(f"{kit_url}/", headers={"Host": "a b"}).status_code == 400
