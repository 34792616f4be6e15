"""What every page may reach: enough for Python and its libraries, programs and the network.

Never all of /etc, /tmp or /var: the paths here hold no secret on any system that we know. Pure, except for `devices`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

SYSTEM = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/bin",
    "/sbin",
    "/nix/store",
    "/gnu/store",
    "/opt/cuda",
    "/opt/nvidia",
    "/opt/rocm",
    "/var/cache/fontconfig",
    "/var/lib/ca-certificates",
)
ETC = (
    # names and the network
    *(
        "resolv.conf",
        "hosts",
        "host.conf",
        "hostname",
        "nsswitch.conf",
        "gai.conf",
        "services",
        "protocols",
        "networks",
    ),
    *("passwd", "group", "krb5.conf", "krb5.conf.d"),
    # trusted certificates, never private keys
    *("ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf", "pki/tls/certs", "pki/tls/cert.pem", "pki/tls/openssl.cnf"),
    *("pki/ca-trust", "ca-certificates", "ca-certificates.conf", "crypto-policies"),
    # libraries, time, language, types, fonts
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ld.so.preload", "localtime", "timezone", "locale.conf"),
    *("locale.alias", "default/locale", "mime.types", "magic", "magic.mime", "fonts", "alternatives"),
    *("os-release", "lsb-release", "debian_version", "redhat-release", "machine-id"),
    # graphics, databases' drivers
    *("OpenCL", "vulkan", "glvnd", "egl", "matplotlibrc", "odbcinst.ini"),
)
RUNTIME = ("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager/resolv.conf")
"""Places to which /etc/resolv.conf may link."""
KERNEL = (
    # A process's own part, and numbers about all: the kernel refuses access to memory, environment and files of others.
    "/proc",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
    "/sys/kernel/mm/hugepages",
)
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
SHARED_MEMORY = "/dev/shm"
GPU_DEVICES = ("nvidia*", "nvidia-caps", "dri", "kfd", "dxg", "accel")
GPU_FACTS = ("/sys/devices", "/sys/bus/pci", "/sys/class/drm", "/sys/class/kfd", "/sys/dev/char", "/sys/module")
PATH_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PYTHONPATH")
"""Variables of a page whose value is one or more paths that the page needs."""
TOO_WIDE = tuple(
    Path(folder)
    for folder in (
        *(
            "/",
            "/etc",
            "/tmp",
            "/var/tmp",
            "/root",
            "/home",
            "/run",
            "/var",
            "/var/lib",
            "/dev",
            "/sys",
            "/srv",
            "/opt",
        ),
        *("/private/tmp", "/private/etc", "/Users"),
    )
)
"""Folders that everybody uses, or that hold other people's files: no route may have all of one."""


def defaults(*, devices: Path = Path("/dev")) -> Iterator[tuple[str, str]]:
    """Yield path and kind of each rule that every page gets."""
    for path in (*SYSTEM, *RUNTIME, *KERNEL):
        yield path, "read"
    for name in ETC:
        yield f"/etc/{name}", "read"
    for path in DEVICES:
        yield path, "device"
    yield SHARED_MEMORY, "write"
    found = [str(device) for pattern in GPU_DEVICES for device in sorted(devices.glob(pattern))]
    for path in found:
        yield path, "device"
    if found:
        for path in GPU_FACTS:
            yield path, "read"
