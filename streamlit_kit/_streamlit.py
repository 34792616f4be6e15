"""All uses of Streamlit that are not its documented API, in one place, so that they can be checked for a new release.

Checked with Streamlit 1.67: the script run context, the form of the `_streamlit_xsrf` cookie.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

_XSRF_VERSION: Final = "2"


def page_session_id() -> str:
    """Return the id of the Streamlit session whose script runs in this thread; "" in another thread or program."""
    from streamlit.runtime.scriptrunner_utils.script_run_context import get_script_run_ctx

    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context is not None else ""


def browser_binding(xsrf_cookie: str) -> str:
    """Return the base64url SHA-256 of the token inside `_streamlit_xsrf`; "" if the cookie has an unknown form.

    The cookie is `2|mask|masked token|time`, in hexadecimal. It gets a new mask each time it is set. Only the token
    under the mask stays the same for a browser.
    """
    parts = xsrf_cookie.strip("\"'").split("|")
    if len(parts) != 4 or parts[0] != _XSRF_VERSION:
        return ""
    try:
        mask, masked = bytes.fromhex(parts[1]), bytes.fromhex(parts[2])
    except ValueError:
        return ""
    if len(mask) != 4 or len(masked) < 16:
        return ""
    unmasked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))
    return base64.urlsafe_b64encode(hashlib.sha256(unmasked).digest()).rstrip(b"=").decode("ascii")
