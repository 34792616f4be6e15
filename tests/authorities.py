"""The test run trusts one certificate authority, whose key nobody has, instead of those of this machine.

Every client loads all trusted authorities before it sends anything, with or without TLS. The 140 authorities of a
system take 25 ms of computing time. A run has thousands of clients, and so do the programs that it starts.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

LIFETIME = timedelta(days=2)


@contextmanager
def nobody_trusted() -> Iterator[None]:
    """Let OpenSSL find this one authority in place of the system's, here and in programs that are started from here."""
    with tempfile.TemporaryDirectory(prefix="authorities-") as folder:
        file = Path(folder) / "nobody.pem"
        file.write_bytes(_certificate())
        places = {"SSL_CERT_FILE": str(file), "SSL_CERT_DIR": folder}
        before = {name: os.environ.get(name) for name in places}
        os.environ.update(places)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _certificate() -> bytes:
    """Make a self-signed certificate. Its key is thrown away."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + LIFETIME)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
