"""`vestibule routes check`: what it says about a request, and its exit codes. `list` prints the table."""

from __future__ import annotations

import json
import secrets
import socket
from pathlib import Path

import pytest

from tests.gateway.commands import vestibule, vestibule_process

KEY = secrets.token_urlsafe(32)
SETTINGS = f"""
[server]
public_url = "https://apps.example.com"
origins = ["https://other.example.com"]
[secrets]
keys = ["{KEY}"]
[store]
url = "redis://user:canary-password@127.0.0.1:1/0"
[providers.corp]
issuer = "https://idp.invalid"
client_id = "x"
client_secret = "canary-client-secret"
groups_claim = "memberOf"
[providers.other]
issuer = "https://other-idp.invalid"
client_id = "x"
client_secret = "canary-client-secret"
[kit_clients.pages]
secret = "canary-kit-secret-of-pages"
[[routes]]
id = "pages"
path = "/"
kind = "page"
kit = "pages"
upstream = "streamlit:app.py"
[routes.streamlit]
sandbox = "none"
[[routes]]
id = "api"
path = "/api/"
upstream = "http://127.0.0.1:9001"
strip_prefix = true
upstream_secret = "canary-upstream-secret-0123456789"
token = "assertion"
audience = "models-api"
accept_bearer = {{ providers = ["corp"] }}
cors_origins = ["https://friend.example"]
[routes.require]
roles_any = ["analyst"]
scopes_all = ["models:read"]
claims = {{ department = "physics" }}
[[routes]]
id = "token"
path = "/token"
provider = "corp"
upstream = ["http://127.0.0.1:9002", "http://127.0.0.1:9003"]
token = "access_token"
[[routes]]
id = "own-header"
path = "/own-header"
upstream = "http://127.0.0.1:9004"
token = "assertion"
audience = "x"
assertion_header = "X-Who"
[[routes]]
id = "status"
path = "/status"
exact = true
auth = "public"
upstream = "http://127.0.0.1:9005"
[[routes]]
id = "ops"
path = "/ops"
host = "other.example.com"
kind = "page"
upstream = "asgi:no_such_module:app"
[routes.require]
groups_any = ["ops"]
emails = ["ada@example.com"]
max_age_seconds = 60
"""
ADA = {
    "sub": "ada",
    "iss": "https://idp.invalid",
    "realm_access": {"roles": ["analyst"]},
    "memberOf": ["ops", "science"],
    "department": "physics",
    "email": "ada@example.com",
    "email_verified": True,
    "scope": "models:read",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text("")
    (tmp_path / "vestibule.toml").write_text(SETTINGS)
    (tmp_path / "vestibule.toml").chmod(0o600)
    (tmp_path / "ada.json").write_text(json.dumps(ADA))
    (tmp_path / "old.json").write_text(json.dumps({**ADA, "auth_time": 1}))
    return tmp_path


def check(folder: Path, *arguments: str) -> tuple[int, str]:
    done = vestibule("routes", "check", *arguments, folder=folder)
    assert done.stderr == f"configuration: {folder / 'vestibule.toml'}\n"
    return done.returncode, done.stdout


CASES = {
    "allowed, from claims": (
        ("GET", "/api/models?x=1", "--as", "ada.json"),
        0,
        ["require   roles_any", "\nallowed\nGET /models?x=1 goes to http://127.0.0.1:9001\n", "aud = models-api"],
    ),
    "not signed in": (
        ("GET", "/api/models"),
        1,
        ["as nobody", 'auth = "required": nobody is signed in', "refused: 401 login_required"],
    ),
    "a page for nobody": (("GET", "/"), 1, ["refused: 401 login_required", "is sent to the sign-in"]),
    "a role that is missing": (
        ("GET", "/api/models", "--sub", "bob", "--provider", "corp", "--roles", "viewer,guest"),
        1,
        [
            'no  require   roles_any = ["analyst"]; has the roles ["viewer", "guest"]',
            'no  require   scopes_all = ["models:read"]; has the scopes []',
            'no  require   claims = { "department" = "physics" }; has department = nothing',
            "refused: 403 forbidden (require.roles_any)",
        ],
    ),
    "a machine": (
        ("GET", "/api/x", "--machine", "--as", "ada.json"),
        0,
        ["as a machine: ada, provider corp", "a machine's token of corp"],
    ),
    "a machine where no token is taken": (
        ("GET", "/", "--machine", "--as", "ada.json"),
        1,
        ["the route takes no bearer tokens (accept_bearer)", "refused: 401 login_required"],
    ),
    "a machine of a provider that the route does not take": (
        ("GET", "/api/x", "--machine", "--sub", "ci", "--provider", "other"),
        1,
        ["the token is refused: invalid_token", "refused: 401 invalid_token"],
    ),
    "the other provider": (
        ("GET", "/token", "--sub", "eve", "--provider", "other"),
        1,
        ['no  provider  "corp"; signed in at other', "signing in at corp would do", "refused: 401 step_up_required"],
    ),
    "the person's own token and two servers": (
        ("GET", "/token/x", "--sub", "eve", "--provider", "corp"),
        0,
        ["goes to http://127.0.0.1:9002 or http://127.0.0.1:9003", "Bearer (the person's access token)"],
    ),
    "a host that is not served": (
        ("GET", "https://nowhere.example/"),
        1,
        ["no  host      nowhere.example is not served", "refused: 421 unknown_host"],
    ),
    "an assertion in a header of its own": (
        ("GET", "/own-header", "--as", "ada.json"),
        0,
        ["x-who: (an assertion of this front door: sub = ada"],
    ),
    "an exact path": (("GET", "/status"), 0, ["status matches: /status is exactly this path", "knows nobody"]),
    "a path below an exact one": (("GET", "/status/x"), 1, ["not status: /status/x is not exactly /status"]),
    "the host of a route": (
        ("GET", "https://other.example.com/ops", "--as", "ada.json"),
        0,
        ["ops matches: /ops at host other.example.com", "not pages: / is shorter", "goes to asgi:no_such_module:app"],
    ),
    "another host than that of the route": (
        ("GET", "/ops", "--as", "ada.json"),
        0,
        ["not ops: it is at host other.example.com", "ok  route     pages matches"],
    ),
    "a sign-in that is too old": (
        ("GET", "https://other.example.com/ops", "--as", "old.json"),
        1,
        ["no  require   max_age_seconds = 60.0", "max_age: signing in once more would do", "401 step_up_required"],
    ),
    "an address that nobody has verified": (
        ("GET", "https://other.example.com/ops", "--sub", "x", "--provider", "corp", "--groups", "ops"),
        1,
        ["no  require   emails", "has no address", "403 forbidden (require.emails)"],
    ),
    "dots": (
        ("GET", "/x/%2e%2e/api"),
        1,
        ["/x/%2e%2e/api is ambiguous: a dot segment. One reading is '/x/../api'", "400 ambiguous_path"],
    ),
    "case": (
        ("GET", "/API/x", "--as", "ada.json"),
        1,
        ["One reading is '/api/x', which leads to the route api and not to the route pages"],
    ),
    "a reading that needs two decodings": (
        ("GET", "/x/%252e%252e/api"),
        1,
        ["is ambiguous: a dot segment. One reading is '/x/../api'"],
    ),
    "CORS": (
        ("POST", "/api/x", "--as", "ada.json", "--origin", "https://friend.example"),
        0,
        ["cors_origins names https://friend.example"],
    ),
    "a foreign page": (
        ("POST", "/api/x", "--as", "ada.json", "--origin", "https://foe.example"),
        1,
        ["gets 403 cors_origin", 'csrf = "fetch": csrf_origin', "refused: 403 csrf_origin"],
    ),
    "a WebSocket": (
        ("GET", "wss://apps.example.com/_stcore/stream", "--as", "ada.json"),
        0,
        ["WS apps.example.com/_stcore/stream", "x-vestibule-assertion: (who is signed in, signed for the kit client"],
    ),
    "a WebSocket of a foreign page": (
        ("GET", "wss://apps.example.com/_stcore/stream", "--as", "ada.json", "--origin", "https://foe.example"),
        1,
        ["ws_origins = []: ws_origin", "refused: 403 ws_origin"],
    ),
    "Streamlit's metrics": (
        ("GET", "/_stcore/metrics", "--as", "ada.json"),
        1,
        ["closed to everybody", "refused: 404 not_found"],
    ),
    "the front door's own pages": (("GET", "/auth/session"), 0, ["the front door's own pages", "answered: 200"]),
    "a method that no server takes": (("TRACE", "/"), 1, ["method_refused", "refused: 405"]),
    "a name in any script": (("GET", "/Übersicht", "--as", "ada.json"), 0, ["GET /%C3%9Cbersicht goes to"]),
}


@pytest.mark.parametrize(("arguments", "code", "said"), CASES.values(), ids=CASES)
def test_the_explanation_names_the_rule_and_the_exit_code_says_the_result(
    arguments: tuple[str, ...], code: int, said: list[str], folder: Path
) -> None:
    returned, text = check(folder, *arguments)
    assert returned == code
    missing = [part for part in said if part not in text]
    assert not missing, f"{missing}\nnot in\n{text}"
    assert "canary" not in text


FAULTS = {
    "no method": (("G T", "/"), "is no method"),
    "no address": (("GET", "api"), "is no address"),
    "a fragment": (("GET", "/x#y"), "is no address"),
    "an address of another kind": (("GET", "ftp://x/y"), "is no address"),
    "a WebSocket with POST": (("POST", "wss://apps.example.com/"), "a WebSocket is opened with GET"),
    "two callers": (("GET", "/", "--as", "ada.json", "--roles", "x"), "not both"),
    "anonymous and a caller": (("GET", "/", "--anonymous", "--sub", "x"), "not both"),
    "roles of nobody": (("GET", "/", "--roles", "x", "--provider", "corp"), "Give a sub"),
    "a provider that must be named": (("GET", "/", "--sub", "x"), "One of corp, other"),
    "a provider that does not exist": (("GET", "/", "--sub", "x", "--provider", "crop"), "did you mean corp?"),
    "claims of another issuer": (("GET", "/", "--as", "ada.json", "--provider", "other"), "are of issuer"),
    "a file that does not exist": (("GET", "/", "--as", "nobody.json"), "not readable as JSON"),
    "a file without claims": (("GET", "/", "--as", "list.json"), "holds no JSON object"),
    "an origin with a path": (("GET", "/", "--origin", "https://x.example/y"), "is no origin"),
}


@pytest.mark.parametrize(("arguments", "said"), FAULTS.values(), ids=FAULTS)
def test_a_question_that_makes_no_sense_exits_with_2(arguments: tuple[str, ...], said: str, folder: Path) -> None:
    (folder / "list.json").write_text("[]")
    done = vestibule("routes", "check", *arguments, folder=folder)
    assert done.returncode == 2
    assert said in done.stderr
    assert not done.stdout


def test_json_has_result_steps_and_headers(folder: Path) -> None:
    code, text = check(folder, "GET", "/api/x", "--as", "ada.json", "--json")
    found = json.loads(text)
    assert code == 0
    assert (found["result"], found["route"], found["who"]["sub"]) == ("allowed", "api", "ada")
    assert found["upstream_target"] == "/x"
    assert ["x-auth-request-roles", "analyst"] in found["headers"]
    assert {"subject": "sign-in", "says": 'auth = "required": signed in at corp', "holds": True} in found["steps"]
    assert "canary" not in text


def test_json_of_a_refusal_has_status_and_code(folder: Path) -> None:
    code, text = check(folder, "GET", "/api/x", "--json")
    found = json.loads(text)
    assert code == 1
    assert (found["result"], found["status"], found["code"]) == ("refused", 401, "login_required")
    assert "headers" not in found


def test_nothing_is_asked_over_the_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("the command dials")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect)
    assert check(folder, "GET", "/api/x", "--machine", "--as", "ada.json")[0] == 0
    assert check(folder, "GET", "/", "--as", "ada.json")[0] == 0


def test_a_machine_without_the_secrets_of_the_file_can_ask_with_a_key_of_its_own(folder: Path) -> None:
    text = SETTINGS.replace(f'keys = ["{KEY}"]', 'keys_file = "nowhere"')
    text = text.replace('client_secret = "canary-client-secret"', 'client_secret_file = "nowhere"', 1)
    (folder / "vestibule.toml").write_text(text)
    variables = {"VESTIBULE_SECRETS__KEYS": f'["{secrets.token_urlsafe(32)}"]'}
    done = vestibule("routes", "check", "GET", "/", "--as", "ada.json", folder=folder, variables=variables)
    assert done.returncode == 0, done.stderr


def test_the_command_works_as_a_process(folder: Path) -> None:
    done = vestibule_process("routes", "check", "GET", "/api/models", "--as", "ada.json", folder=folder)
    assert done.returncode == 0
    assert "\nallowed\n" in done.stdout
    assert done.stderr == f"configuration: {folder / 'vestibule.toml'}\n"


def test_the_list_has_the_order_in_which_routes_are_tried(folder: Path) -> None:
    done = vestibule("routes", "list", folder=folder)
    assert done.returncode == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == ["route", "api", "ops", "own-header", "status", "token", "pages"]
    assert lines[2][:5] == ["ops", "other.example.com", "/ops", "page", "required"]
    assert 'roles_any = ["analyst"]; scopes_all = ["models:read"]' in done.stdout
    assert "canary" not in done.stdout


def test_the_list_as_json_has_every_route_with_its_hosts(folder: Path) -> None:
    found = json.loads(vestibule("routes", "list", "--json", folder=folder).stdout)
    assert [(one["id"], one["hosts"]) for one in found] == [
        ("api", ["apps.example.com", "other.example.com"]),
        ("ops", ["other.example.com"]),
        ("own-header", ["apps.example.com", "other.example.com"]),
        ("status", ["apps.example.com", "other.example.com"]),
        ("token", ["apps.example.com", "other.example.com"]),
        ("pages", ["apps.example.com", "other.example.com"]),
    ]
    assert found[0]["require"]["roles_any"] == ["analyst"]
