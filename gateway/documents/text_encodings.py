"""The encodings of documents into which ASCII can be inserted. All other documents stay as they are. Pure.

The labels are those of the WHATWG Encoding Standard that are in real use. Left out are UTF-16, ISO-2022-JP, encodings
that browsers replace (HZ, ISO-2022-KR), and encodings that no browser knows (UTF-7, UTF-32, EBCDIC).
"""

from __future__ import annotations

import re
from typing import Final, Literal

Family = Literal["utf-8", "single-byte", "multi-byte"]
"""In a `multi-byte` encoding, bytes of ASCII can be parts of other characters."""

_UTF_8: Final = frozenset({"utf-8", "utf8"})
_SINGLE_BYTE: Final = re.compile(
    r"(?:us-)?ascii|iso-?8859-(?:[1-9]|10|11|13|14|15)|iso8859(?:[1-9]|10|11|13|14|15)|iso_8859-(?:[1-9]|15)|iso-8859-16|latin[1-6]|l[1-6]|(?:windows-|cp|x-cp)125[0-8]"
    r"|windows-874|koi8-[ru]|ibm866|cp866|macintosh|x-mac-cyrillic|tis-620"
)
_MULTI_BYTE: Final = frozenset(
    {
        "big5",
        "big5-hkscs",
        "euc-jp",
        "euc-kr",
        "gb18030",
        "gb2312",
        "gbk",
        "ks_c_5601-1987",
        "shift-jis",
        "shift_jis",
        "sjis",
        "windows-31j",
        "windows-949",
        "x-euc-jp",
        "x-gbk",
        "x-sjis",
    }
)


def family_of(label: str) -> Family | None:
    """Return the family of an encoding by its label, in any case; None if nothing may be inserted into it."""
    name = label.lower()
    if name in _UTF_8:
        return "utf-8"
    if name in _MULTI_BYTE:
        return "multi-byte"
    return "single-byte" if _SINGLE_BYTE.fullmatch(name) else None
