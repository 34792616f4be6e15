"""The certificate authorities of the run: one, whose key nobody has, in place of those of this machine.

Every client loads all that are trusted before it speaks to anybody, TLS or not. The 140 of a system take 25 ms of
computing time for each of the thousands of clients of a run, and of the programs that it starts.
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
    """Let OpenSSL, here and in programs started from here, find that one authority where it looks for the system's."""
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
    """A certificate that signed itself; its key is gone when this returns."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + LIFETIME)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
