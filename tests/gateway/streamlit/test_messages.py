"""What is read from Streamlit's messages, compared with the classes with which Streamlit writes them."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from gateway.streamlit.messages import PREFIX_BYTES, Announcement, is_user_action, read_announcement
from tests.effort import costs_less_than, lines_run

SESSION = "0b6ff2f5-8ba9-4a3c-a9a1-0d21c1b2a1aa"
FILE = "45c1ff0e-58d6-4a67-a9d2-6c4f8b5d9b11"


def new_session(session_id: str = SESSION) -> ForwardMsg:
    message = ForwardMsg(hash="h" * 64)
    message.metadata.delta_path.extend([0, 1, 2])
    message.new_session.name = "n" * 10_000
    message.new_session.initialize.session_id = session_id
    message.new_session.initialize.user_info.installation_id_v3 = "i" * 36
    message.new_session.initialize.environment_info.python_version = "3.13.0 " + "p" * 120
    return message


def file_urls(address: str, *, request_id: str = "r" * 36, files: int = 100) -> ForwardMsg:
    message = ForwardMsg()
    message.file_urls_response.response_id = request_id
    for _ in range(files):
        message.file_urls_response.file_urls.add(file_id=FILE, upload_url=address, delete_url=address)
    return message


def test_the_start_of_a_run_announces_a_session() -> None:
    raw = new_session().SerializeToString()
    assert len(raw) > PREFIX_BYTES
    assert read_announcement(raw) == Announcement(SESSION)


@pytest.mark.parametrize("base", ["", "/team/pages"])
def test_an_address_for_an_upload_announces_a_session(base: str) -> None:
    raw = file_urls(f"{base}/_stcore/upload_file/{SESSION}/{FILE}").SerializeToString()
    assert len(raw) > PREFIX_BYTES
    assert read_announcement(raw) == Announcement(SESSION, hands_out_address=True)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/",
        f"/_stcore/upload_file/{SESSION}",
        f"/_stcore/upload_file//{FILE}",
        f"/_stcore/upload_file/{SESSION}/{FILE}/x",
        f"/_stcore/upload_file/{SESSION}/{FILE}?x",
        f"https://storage.example/_stcore/upload_file/{SESSION}/{FILE}",
        f"/_stcore/upload_file/{'s' * 129}/{FILE}",
        f"/_stcore/upload_file/sessionö/{FILE}",
    ],
)
def test_an_address_of_another_form_announces_no_session(address: str) -> None:
    assert read_announcement(file_urls(address).SerializeToString()) is None


def other_messages() -> dict[str, bytes]:
    text, finished, page = ForwardMsg(), ForwardMsg(), ForwardMsg()
    text.metadata.delta_path.append(0)
    text.delta.new_element.text.body = file_urls(f"/_stcore/upload_file/{SESSION}/{FILE}").SerializeToString().hex()
    finished.script_finished = ForwardMsg.FINISHED_SUCCESSFULLY
    page.page_info_changed.query_string = f"/_stcore/upload_file/{SESSION}/{FILE}"
    return {
        "nothing": b"",
        "text of a page": text.SerializeToString(),
        "end of a run": finished.SerializeToString(),
        "query of a page": page.SerializeToString(),
        "no protobuf": b"\xff" * 100,
        "endless number": b"\x80" * 100,
        "JSON": b'{"session_id": "x"}',
        "an id of odd characters": new_session("a b").SerializeToString(),
        "no id": new_session("").SerializeToString(),
        "no files": file_urls("", files=0).SerializeToString(),
        "a request id that fills what is read": file_urls(
            f"/_stcore/upload_file/{SESSION}/{FILE}", request_id="r" * PREFIX_BYTES
        ).SerializeToString(),
    }


@pytest.mark.parametrize("raw", other_messages().values(), ids=other_messages())
def test_other_messages_announce_no_session(raw: bytes) -> None:
    assert read_announcement(raw) is None


def test_a_message_cut_at_any_point_announces_the_complete_session_id_or_none() -> None:
    for raw in (new_session(), file_urls(f"/_stcore/upload_file/{SESSION}/{FILE}", files=1)):
        whole = raw.SerializeToString()
        for end in range(min(len(whole), PREFIX_BYTES)):
            found = read_announcement(whole[:end])
            assert found is None or found.session_id == SESSION


def test_a_session_id_that_is_only_partly_read_is_not_announced() -> None:
    for padding in range(PREFIX_BYTES - 200, PREFIX_BYTES + 10):
        message = ForwardMsg(hash="h" * padding)
        message.new_session.initialize.session_id = SESSION
        found = read_announcement(message.SerializeToString())
        assert found is None or found.session_id == SESSION


def test_a_damaged_message_never_raises_an_error() -> None:
    chance = random.Random(7)
    whole = bytearray(file_urls(f"/_stcore/upload_file/{SESSION}/{FILE}").SerializeToString()[:400])
    for _ in range(3000):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        read_announcement(bytes(damaged))


def test_a_large_message_takes_no_more_time_than_a_small_one() -> None:
    message = ForwardMsg()
    message.delta.new_element.text.body = "x" * 30_000_000
    raw = message.SerializeToString()
    with costs_less_than(0.1):
        for _ in range(100):
            read_announcement(raw)


def test_automatic_reruns_and_heartbeats_do_not_count_as_activity_of_a_person() -> None:
    by_hand, by_itself, heartbeat = BackMsg(), BackMsg(), BackMsg()
    by_hand.rerun_script.query_string = "x"
    by_itself.rerun_script.is_auto_rerun = True
    heartbeat.app_heartbeat = True
    assert is_user_action(by_hand.SerializeToString())
    assert not is_user_action(by_itself.SerializeToString())
    assert not is_user_action(heartbeat.SerializeToString())


def large_messages(size: int) -> dict[str, bytes]:
    """Messages of about `size` bytes, whose readable part is as long as it can be."""
    rerun = b"\x5a"  # field 11, a message
    numbers = b"\x08\x01" * (size // 2)
    return {
        "zeros": bytes(size),
        "one field again and again": numbers,
        "empty fields": b"\x12\x00" * (size // 2),
        "fields of eight bytes": (b"\x11" + bytes(8)) * (size // 9),
        "a rerun of many fields": rerun + varint(len(numbers)) + numbers,
        "a number without an end": b"\x80" * size,
        "hashes and no message": b"\x0a\x00" * (size // 2),
        "a new session of many fields": b"\x22" + varint(len(numbers)) + numbers,
    }


def varint(value: int) -> bytes:
    most = b""
    while value > 0x7F:
        most += bytes([value & 0x7F | 0x80])
        value >>= 7
    return most + bytes([value])


@pytest.mark.parametrize("kind", large_messages(100))
@pytest.mark.parametrize("read", [is_user_action, read_announcement])
def test_the_work_for_a_message_does_not_grow_with_its_size(read: Callable[[bytes], object], kind: str) -> None:
    small, large = large_messages(40_000)[kind], large_messages(4_000_000)[kind]
    few = lines_run(lambda: read(small))
    assert few < 20_000
    assert lines_run(lambda: read(large)) <= few + 50  # a larger length is a few bytes longer


@pytest.mark.parametrize("kind", large_messages(100))
def test_an_unreadable_message_counts_as_activity_of_a_person(kind: str) -> None:
    assert is_user_action(large_messages(8_000_000)[kind])


def test_an_automatic_rerun_is_recognised_behind_a_large_state() -> None:
    message = BackMsg()
    message.rerun_script.query_string = "q" * 3_000
    for number in range(200):
        message.rerun_script.widget_states.widgets.add(id=f"widget-{number}", string_value="v" * 50_000)
    message.rerun_script.is_auto_rerun = True
    raw = message.SerializeToString()
    assert len(raw) > 10_000_000
    assert not is_user_action(raw)
    assert lines_run(lambda: is_user_action(raw)) < 500
