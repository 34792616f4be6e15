"""The log cuts addresses that give access, in every spelling and in lines that quote them."""

from __future__ import annotations

import io
import logging

import pytest
import structlog

from bff.settings.tables import LogSettings
from gateway.access_log import AccessLog
from gateway.logs import configure_logging
from gateway.masked_paths import mask_path, mask_text
from gateway.processes.child_output import ChildOutput
from tests.effort import costs_less_than

SESSION = "0b6ff2f5-8ba9-4a3c-a9a1-0d21c1b2a1aa"
FILE = "45c1ff0e-58d6-4a67-a9d2-6c4f8b5d9b11"
MEDIA = "cd" * 28 + ".csv"
UPLOAD = f"/_stcore/upload_file/{SESSION}/{FILE}"


@pytest.mark.parametrize(
    ("path", "masked"),
    [
        (UPLOAD, "/_stcore/upload_file/*"),
        (f"/team/pages{UPLOAD}", "/team/pages/_stcore/upload_file/*"),
        (f"/media/{MEDIA}", "/media/*"),
        (f"/team/pages/media/{MEDIA}", "/team/pages/media/*"),
        ("/auth/kit/state/basket-of-alice", "/auth/kit/state/*"),
        (f"/team{UPLOAD}{UPLOAD}", "/team/_stcore/upload_file/*"),
        (f"/media/x/media/{MEDIA}", "/media/*"),
    ],
)
def test_an_address_with_a_secret_is_cut_before_the_secret(path: str, masked: str) -> None:
    assert mask_path(path) == masked


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/reports/multimedia/2026",
        "/media",
        "/media/",
        "/_stcore/stream",
        "/_stcore/upload_file",
        "/component/x/index.html",
        "/app/caf%C3%A9",
        "/auth/sessions/0123456789ab",
    ],
)
def test_other_addresses_are_logged_unchanged(path: str) -> None:
    assert mask_path(path) == path


def encode(text: str) -> str:
    return "".join(f"%{ord(character):02X}" for character in text)


SPELLINGS = {
    "upper case": UPLOAD.replace("_stcore", "_STCORE").replace("upload_file", "UPLOAD_FILE"),
    "media in upper case": f"/MEDIA/{MEDIA}",
    "encoded letters": UPLOAD.replace("upload", "%75pload"),
    "encoded slashes": UPLOAD.replace("/", "%2F"),
    "encoded wholly": "/" + encode(UPLOAD[1:]),
    "encoded twice": UPLOAD.replace("upload", "%2575pload"),
    "encoded three times": UPLOAD.replace("upload", "%252575pload"),
    "encoded marker before a plain one": f"/%6dedia/{MEDIA}/media/x",
    "two slashes": UPLOAD.replace("/", "//"),
    "backslashes": UPLOAD.replace("/", "\\"),
    "encoded backslashes": UPLOAD.replace("/", "%5C"),
    "dot segments": UPLOAD.replace("/upload", "/./x/../upload"),
    "a parameter": f"/media;x=1/{MEDIA}",
    "parameters": UPLOAD.replace("_stcore", "_stcore;a").replace("upload_file", "upload_file;b"),
    "encoded parameter": f"/media%3Bx/{MEDIA}",
    "wide letters": f"/\uff4dedia/{MEDIA}".encode().decode("latin-1"),
    "encoded wide letters": f"/%EF%BD%8Dedia/{MEDIA}",
    "a control character": f"/me%09dia/{MEDIA}",
    "a question mark before": f"/x%3F/media/{MEDIA}",
    "no slash at the start": UPLOAD[1:],
    "a whole URL": f"http://host{UPLOAD}",
    "a broken escape": f"/%zz/media/{MEDIA}",
}


@pytest.mark.parametrize("path", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_of_an_address_with_a_secret_is_cut(path: str) -> None:
    said = mask_path(path).lower()
    for capability in (SESSION, FILE, MEDIA, "cdcdcd"):
        assert capability not in said
        assert encode(capability).lower() not in said
    assert said.endswith("*")


@pytest.mark.parametrize("piece", ["/_stcore", "/media", "/_stcore/x", "%25", "/\\;", "/kit;/", "%EF%B7%BA"])
def test_masking_a_long_address_is_fast(piece: str) -> None:
    path = piece * (8_000 // len(piece))
    with costs_less_than(0.05):
        mask_path(path)
        mask_text(f"session media state/ upload_file {path}")


@pytest.mark.parametrize(
    "line",
    [
        f'127.0.0.1:1 - "PUT {UPLOAD} HTTP/1.1" 204',
        f"Session with id {SESSION} is already connected! Reconnecting to existing session.",
        f"Ignoring reconnect to active session id {SESSION}: user identity mismatch.",
        f"Created new session for client 1. Session ID: {SESSION.upper()}",
        f"MediaFileStorageError: Bad filename '{MEDIA}'. (No media file with id '{MEDIA[:-4]}')",
        f"Adding media file {MEDIA[:32]}",
        f"see http://localhost:8501/media/{MEDIA}, please",
        f"GET /auth/kit/state/{SESSION}",
    ],
)
def test_a_log_line_contains_no_session_id(line: str) -> None:
    said = mask_text(line)
    for capability in (SESSION, SESSION.upper(), FILE, MEDIA[:32]):
        assert capability not in said
    assert "*" in said


def test_other_log_lines_are_not_changed() -> None:
    line = f"order {SESSION} was shipped to /reports/2026, 3 of 4 done"
    assert mask_text(line) == line


@pytest.mark.parametrize("form", ["json", "console"])
def test_every_logger_of_the_process_removes_session_ids(form: str) -> None:
    stream = io.StringIO()
    configure_logging(LogSettings.model_validate({"format": form}), stream=stream)
    structlog.get_logger("vestibule.x").warning("failed", target=UPLOAD, detail=f"session {SESSION}")
    logging.getLogger("uvicorn.error").error("%s was broken off", f"/media/{MEDIA}")
    try:
        raise RuntimeError(f"no answer from {UPLOAD}")
    except RuntimeError:
        logging.getLogger("somebody").exception("gave up")
        structlog.get_logger("vestibule.y").error("unexpected_error", exc_info=True)
    AccessLog(enabled=True).write(
        {"type": "http", "method": "PUT", "raw_path": UPLOAD.encode()}, "127.0.0.1", "r", "pages", 204, 0.01
    )
    said = stream.getvalue()
    assert said.count("upload_file/*") == 4
    for capability in (SESSION, FILE, MEDIA):
        assert capability not in said


@pytest.mark.parametrize("json_lines", [True, False])
def test_the_output_of_an_app_is_masked_in_the_log_and_in_the_kept_last_lines(*, json_lines: bool) -> None:
    stream = io.StringIO()
    configure_logging(LogSettings(), stream=stream)
    output = ChildOutput("pages", voice="shown", json_lines=json_lines, prefix=True, stream=stream)
    output.feed(f"WARNING Session with id {SESSION} is already connected!\nGET {UPLOAD}\n".encode())
    assert SESSION not in stream.getvalue() + "".join(output.last)
    assert "is already connected" in stream.getvalue()
