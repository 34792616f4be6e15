"""API keys: what is stored, which routes a key opens, and that all refusals look the same."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from bff.api.api_keys import APIKey, APIKeyMisconfigured, KeyHolder, mint_api_key
from bff.bearer import RequireScopes
from tests.bff.serving import serving

NIGHTLY = mint_api_key("nightly", ["imports:write", "models:read"])
READER = mint_api_key("reader", ["models:read"])
BARE = mint_api_key("bare")
HASH = "ab" * 32


def api_with(api_key: APIKey) -> FastAPI:
    app = FastAPI()

    @app.get("/who")
    async def who(holder: Annotated[KeyHolder, Depends(api_key)]) -> dict[str, Any]:
        return {"name": holder.name, "scopes": sorted(holder.scopes)}

    @app.post("/imports", dependencies=[Depends(RequireScopes(api_key, "imports:write", "models:read"))])
    async def imports() -> str:
        return "done"

    return app


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    file.write_text(f"# programs\n\n{NIGHTLY.line}\n  {READER.line}  \n{BARE.line}\n", encoding="utf-8")
    return file


def ask(url: str, key: str = "", *, method: str = "GET", headers: Any = None, **more: Any) -> httpx.Response:
    own = [("X-API-Key", key)] if key else []
    return httpx.request(method, url, headers=[*own, *(headers or [])], **more)


def test_a_key_from_the_file_opens_the_routes_of_its_scopes(keys_file: Path) -> None:
    with serving(api_with(APIKey.from_env({"VESTIBULE_API_KEYS_FILE": str(keys_file)}))) as url:
        assert ask(url + "/who", NIGHTLY.key).json() == {"name": "nightly", "scopes": ["imports:write", "models:read"]}
        assert ask(url + "/who", BARE.key).json() == {"name": "bare", "scopes": []}
        assert ask(url + "/imports", NIGHTLY.key, method="POST").json() == "done"
        answer = ask(url + "/imports", READER.key, method="POST")
        assert (answer.status_code, answer.json()["detail"]["error"]) == (403, "insufficient_scope")
        assert READER.key not in answer.text


def test_a_file_to_which_everybody_may_add_a_key_stops_the_api(keys_file: Path) -> None:
    keys_file.chmod(0o644)  # hashes: reading them opens nothing
    APIKey.from_env({"VESTIBULE_API_KEYS_FILE": str(keys_file)})
    keys_file.chmod(0o646)
    with pytest.raises(APIKeyMisconfigured, match="everybody on this machine may change"):
        APIKey.from_env({"VESTIBULE_API_KEYS_FILE": str(keys_file)})


def test_every_wrong_key_gets_the_same_answer(keys_file: Path) -> None:
    with serving(api_with(APIKey.from_env({"VESTIBULE_API_KEYS_FILE": str(keys_file)}))) as url:
        answers = [
            ask(url + "/who"),
            ask(url + "/who", "wrong"),
            ask(url + "/who", NIGHTLY.key[:-1]),
            ask(url + "/who", NIGHTLY.line),
            ask(url + "/who", hashlib.sha256(NIGHTLY.key.encode()).hexdigest()),
            ask(url + "/who", NIGHTLY.key, headers=[("X-API-Key", NIGHTLY.key)]),
            ask(url + "/who", headers=[("X_API_Key", NIGHTLY.key)]),
            ask(url + "/who", headers=[("Authorization", f"Bearer {NIGHTLY.key}")]),
            ask(url + "/who", params={"X-API-Key": NIGHTLY.key}),
            ask(url + "/who", NIGHTLY.key, params={"api_key": NIGHTLY.key}),
        ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert {answer.headers["www-authenticate"] for answer in answers} == {'APIKey realm="api"'}


def test_a_new_key_is_random_and_only_its_hash_is_kept() -> None:
    first, second = mint_api_key("nightly"), mint_api_key("nightly")
    assert first.key != second.key
    assert first.key not in first.line
    assert first.line == f"nightly::{hashlib.sha256(first.key.encode()).hexdigest()}"
    assert first.key not in repr(first)
    assert len(first.key) == len("vak_") + 43


def test_two_keys_with_the_same_name_work_at_the_same_time() -> None:
    old, new = mint_api_key("nightly"), mint_api_key("nightly")
    api_key = APIKey.from_env({"VESTIBULE_API_KEYS": f"{old.line}\n{new.line}"})
    assert api_key.find(old.key) == api_key.find(new.key) == KeyHolder("nightly", frozenset())


@pytest.mark.parametrize(
    "line",
    [
        "nightly",
        f"nightly:{HASH}",
        f":read:{HASH}",
        f"nightly:read:{HASH[:-1]}",
        f"nightly:read:{HASH.upper()}",
        f"nightly:read++write:{HASH}",
        f"nightly:re ad:{HASH}",
        f"night ly:read:{HASH}",
    ],
)
def test_a_line_that_cannot_be_read_is_named_by_its_number_and_not_shown(line: str) -> None:
    with pytest.raises(APIKeyMisconfigured, match="VESTIBULE_API_KEYS, line 2: write name") as caught:
        APIKey.from_env({"VESTIBULE_API_KEYS": f"# first\n{line}"})
    assert HASH[:10] not in str(caught.value)


def test_the_error_names_the_setting_that_is_missing(tmp_path: Path) -> None:
    for environ in ({}, {"VESTIBULE_API_KEYS": READER.line, "VESTIBULE_API_KEYS_FILE": "x"}):
        with pytest.raises(APIKeyMisconfigured, match="exactly one of VESTIBULE_API_KEYS_FILE and VESTIBULE_API_KEYS"):
            APIKey.from_env(environ)
    with pytest.raises(APIKeyMisconfigured, match="cannot be read: FileNotFoundError"):
        APIKey.from_env({"VESTIBULE_API_KEYS_FILE": str(tmp_path / "none")})
    with pytest.raises(APIKeyMisconfigured, match="there is no key"):
        APIKey.from_env({"VESTIBULE_API_KEYS": "# nothing"})
    with pytest.raises(APIKeyMisconfigured, match="line 2: this key is in two lines"):
        APIKey([READER.line, READER.line])


def test_swagger_has_an_authorize_button_for_api_keys() -> None:
    document = api_with(APIKey([READER.line])).openapi()
    assert document["components"]["securitySchemes"]["APIKey"] == {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
    }
    assert document["paths"]["/imports"]["post"]["security"] == [{"APIKey": []}]


def test_the_command_prints_a_key_and_its_line() -> None:
    command = [sys.executable, "-m", "bff.api.api_keys", "nightly"]
    done = subprocess.run([*command, "imports:write"], capture_output=True, text=True, check=True)
    printed = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    holder = APIKey([printed["line"]]).find(printed["key"])
    assert holder == KeyHolder("nightly", frozenset({"imports:write"}))
    failed = subprocess.run([*command, "a b"], capture_output=True, text=True, check=False)
    assert (failed.returncode, failed.stdout) == (2, "")
