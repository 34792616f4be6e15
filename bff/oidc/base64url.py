"""Unpadded base64url (RFC 7515 section 2)."""

from __future__ import annotations

from base64 import urlsafe_b64encode


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
