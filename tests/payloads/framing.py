"""Heads and bodies that can be read in two ways. The door must refuse each, and must read nothing that follows.

`{host}` is the Host, `{path}` the target of the server that gets them: a bare front over a recording application, and
a whole front door.
"""

from __future__ import annotations

HEAD = b"POST {path} HTTP/1.1\r\nHost: {host}\r\n"
LAST_CHUNK = b"\r\n0\r\n\r\n"


def _sized(lines: bytes, body: bytes = b"abc") -> bytes:
    return HEAD + lines + b"\r\n" + body


def _chunked(lines: bytes, *, version: bytes = b"1.1") -> bytes:
    return HEAD.replace(b"1.1", version) + lines + LAST_CHUNK


AMBIGUOUS_HEADS: dict[str, bytes] = {
    "content-length then chunked": _chunked(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    "chunked then content-length": _chunked(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
    "equal content-lengths": _sized(b"Content-Length: 3\r\nContent-Length: 3\r\n"),
    "different content-lengths": _sized(b"Content-Length: 3\r\nContent-Length: 0\r\n"),
    "content-lengths of nothing and of what follows": _sized(b"Content-Length: 0\r\nContent-Length: 40\r\n", b""),
    "content-length as a list": _sized(b"Content-Length: 3, 3\r\n"),
    "two numbers in content-length": _sized(b"Content-Length: 3 4\r\n"),
    "signed content-length": _sized(b"Content-Length: +3\r\n"),
    "negative content-length": _sized(b"Content-Length: -3\r\n"),
    "hexadecimal content-length": _sized(b"Content-Length: 0x3\r\n"),
    "underscore in content-length": _sized(b"Content-Length: 1_0\r\n"),
    "empty content-length": _sized(b"Content-Length:\r\n", b""),
    "endless content-length": _sized(b"Content-Length: 99999999999999999999999\r\n", b""),
    "identity, chunked": _chunked(b"Transfer-Encoding: identity, chunked\r\n"),
    "chunked, identity": _chunked(b"Transfer-Encoding: chunked, identity\r\n"),
    "gzip, chunked": _chunked(b"Transfer-Encoding: gzip, chunked\r\n"),
    "chunked, chunked": _chunked(b"Transfer-Encoding: chunked, chunked\r\n"),
    "chunked twice": _chunked(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    "Chunked": _chunked(b"Transfer-Encoding: Chunked\r\n"),
    "CHUNKED": _chunked(b"Transfer-Encoding: CHUNKED\r\n"),
    "xchunked": _chunked(b"Transfer-Encoding: xchunked\r\n"),
    "quoted chunked": _chunked(b'Transfer-Encoding: "chunked"\r\n'),
    "vertical tab before chunked": _chunked(b"Transfer-Encoding: \x0bchunked\r\n"),
    "parameter after chunked": _chunked(b"Transfer-Encoding: chunked;q=1\r\n"),
    "empty transfer-encoding": _chunked(b"Transfer-Encoding:\r\n"),
    "chunked on HTTP/1.0": _chunked(b"Transfer-Encoding: chunked\r\n", version=b"1.0"),
    "transfer-encoding spelt with a space": _chunked(b"Transfer-Encoding : chunked\r\n"),
    "transfer-encoding on a folded line": _chunked(b"Transfer-Encoding:\r\n chunked\r\n"),
    "bare LF in the head": b"POST {path} HTTP/1.1\nHost: {host}\n\n",
    "bare LF after the request line": b"POST {path} HTTP/1.1\nHost: {host}\r\n\r\n",
    "bare LF after a header": HEAD + b"X: 1\nY: 2\r\n\r\n",
    "bare CR in a header": HEAD + b"X: 1\rY: 2\r\n\r\n",
    "obs-fold": HEAD + b"X: a\r\n b\r\n\r\n",
    "folded Host": b"POST {path} HTTP/1.1\r\nHost: {host}\r\n .evil.example\r\n\r\n",
    "space before the colon": b"POST {path} HTTP/1.1\r\nHost : {host}\r\n\r\n",
    "space before the first header": b"POST {path} HTTP/1.1\r\n X: y\r\nHost: {host}\r\n\r\n",
    "NUL in a value": HEAD + b"X: a\x00b\r\n\r\n",
    "NUL in a name": HEAD + b"X\x00: b\r\n\r\n",
    "control character in a value": HEAD + b"X: a\x01b\r\n\r\n",
    "empty header name": HEAD + b": b\r\n\r\n",
    "space in a header name": HEAD + b"X Y: 1\r\n\r\n",
    "header name beyond ASCII": HEAD + b"X\xff: 1\r\n\r\n",
    "header without a colon": HEAD + b"nothing\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2.0": HEAD.replace(b"HTTP/1.1", b"HTTP/2.0") + b"\r\n",
    "HTTP/1.2": HEAD.replace(b"HTTP/1.1", b"HTTP/1.2") + b"\r\n",
    "no version": b"GET {path}\r\n\r\n",
    "method in small letters": HEAD.replace(b"POST", b"post") + b"\r\n",
    "no method": b" {path} HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "TLS on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}

BROKEN_CHUNKS: dict[str, bytes] = {
    "LF alone after the size": b"3\nabc\r\n0\r\n\r\n",
    "LF alone after the data": b"3\r\nabc\n0\r\n\r\n",
    "two bytes of rubbish after the data": b"3\r\nabcXX0\r\n\r\n",
    "space after the size": b"3 \r\nabc\r\n0\r\n\r\n",
    "0x before the size": b"0x3\r\nabc\r\n0\r\n\r\n",
    "sign before the size": b"+3\r\nabc\r\n0\r\n\r\n",
    "underscore in the size": b"1_0\r\nabc\r\n0\r\n\r\n",
    "overflowing size": b"fffffffffffffffff3\r\nabc\r\n0\r\n\r\n",
    "LF alone in an extension": b"3;a\nabc\r\n0\r\n\r\n",
    "LF alone after the last chunk": b"3\r\nabc\r\n0\n\n",
    "obs-fold in a trailer": b"3\r\nabc\r\n0\r\nX: a\r\n b\r\n\r\n",
}
"""Bodies that are announced as chunked."""
