"""A folder with a configuration, a policy that it meets, and the claims of a person."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

SETTINGS = f"""
[server]
public_url = "https://apps.example.com"
[secrets]
keys = ["{secrets.token_urlsafe(32)}"]
[providers.corp]
issuer = "https://idp.invalid"
client_id = "x"
client_secret = "canary-client-secret"
[roles.team]
groups_any = ["science"]
[[routes]]
id = "api"
path = "/api/"
upstream = "http://127.0.0.1:9001"
require = {{ roles_any = ["analyst"] }}
accept_bearer = {{ providers = ["corp"], audience = "api" }}
[[routes]]
id = "pages"
path = "/"
kind = "page"
upstream = "http://127.0.0.1:8501"
"""
GOOD = """
[people.ada]
roles = ["analyst"]

[people.bob]
claims_file = "bob.json"

[people.robot]
machine = true
roles = ["analyst"]

[[cases]]
name = "analysts read models"
url = "/api/models"
who = ["ada", "robot"]
expect = "allowed"
route = "api"

[[cases]]
name = "others do not"
method = "POST"
url = "/api/models"
who = "bob"
expect = 403
route = "api"

[[cases]]
url = "/api/models"
who = "bob"
expect = "forbidden"

[[cases]]
name = "strangers sign in first"
url = "https://apps.example.com/api/models"
expect = "login_required"

[[cases]]
name = "everybody in the company sees the pages"
url = "/"
who = ["ada", "bob"]
expect = "allowed"
route = "pages"

[[cases]]
name = "robots have no pages"
url = "/"
who = "robot"
expect = 401

[[cases]]
url = "/x/../api/models"
who = "ada"
expect = "ambiguous_path"

[[cases]]
url = "https://old.example.com/"
expect = 421
route = "none"

[[cases]]
url = "/auth/session"
expect = "answered"
route = "none"

[[cases]]
method = "DELETE"
url = "/api/models"
who = "ada"
origin = "https://elsewhere.example"
expect = "csrf_origin"

[[cases]]
url = "wss://apps.example.com/_stcore/stream"
who = "ada"
expect = "allowed"
"""


def prepare(folder: Path) -> Path:
    """Write the configuration and Bob's claims into `folder`."""
    (folder / "vestibule.toml").write_text(SETTINGS)
    (folder / "vestibule.toml").chmod(0o600)
    (folder / "bob.json").write_text(json.dumps({"sub": "bob", "realm_access": {"roles": ["viewer"]}}))
    return folder
