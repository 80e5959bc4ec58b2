"""A model in a host, borrowed over its socket, behaves as one in this process."""

import threading
from dataclasses import replace
from multiprocessing.connection import Client

import numpy as np
import pytest

from domain.errors import EngineError, ModelHostLost, OutOfMemory, Stopped
from engines.fake import FakeLoader, FakeScript
from hosting.channel import call
from hosting.client import borrow, describe_hosts
from hosting.folder import HostFolder
from tests.integration.embedded.waiting import wait_until
from tests.integration.hosting.conftest import FOUR_WINDOWS, OPTIONS, hosted


def ordered(orders):
    """Options that make the fake do something else."""
    return replace(OPTIONS, initial_prompt=f"fake: {orders}")


def transcribe(folder, options=OPTIONS, audio=FOUR_WINDOWS, **hooks):
    with borrow(folder, options.model_size, 10.0) as model:
        return model.transcribe(audio, options, **hooks)


def sessions(host):
    return host.status()["sessions"]


def test_transcript_windows_and_progress_are_those_of_an_engine_at_hand(folder, host):
    windows, shares, there, theirs = [], [], [], []

    transcript = transcribe(folder, on_window=windows.append, on_progress=shares.append)
    direct = (
        FakeLoader()
        .load("tiny", "cpu")
        .transcribe(
            FOUR_WINDOWS,
            OPTIONS,
            on_window=there.append,
            on_progress=theirs.append,
            should_stop=lambda: False,
        )
    )

    assert replace(transcript, model_requested=direct.model_requested) == direct
    assert (windows, shares) == (there, theirs)
    assert len(windows) == 3


def test_windows_that_are_there_are_not_decoded_again(folder, host):
    windows, later = [], []
    whole = transcribe(folder, on_window=windows.append)

    resumed = transcribe(folder, resume=windows[:2], on_window=later.append)

    assert resumed == whole
    assert later == windows[2:]


def test_a_recording_without_samples_is_transcribed(folder, host):
    assert transcribe(folder, audio=np.zeros(0, np.float32)).segments == ()


def test_one_model_serves_several_borrowers(folder, host):
    with borrow(folder, "tiny", 10.0) as one, borrow(folder, "tiny", 10.0) as other:
        texts = {model.transcribe(FOUR_WINDOWS, OPTIONS).text for model in (one, other)}

        stats = describe_hosts(folder)[0]["pool"]

    assert len(texts) == 1
    assert stats["models_by_size"] == {"tiny": 1}


def test_an_error_in_the_host_arrives_with_its_class_and_where_it_was_raised(folder):
    nowhere = FakeLoader(FakeScript(no_room_to_load=frozenset({("tiny", "cpu")})))

    with (
        hosted(folder, nowhere),
        pytest.raises(OutOfMemory) as caught,
        borrow(folder, "tiny", 10.0),
    ):
        pass

    assert "model_pool" in caught.value.__notes__[0]


def test_an_engine_that_fails_does_not_end_its_host(folder, host):
    with pytest.raises(EngineError, match="told to fail"):
        transcribe(folder, ordered("fails"))

    assert transcribe(folder).text


def test_what_is_asked_to_stop_ends_and_says_so(folder, host):
    asked = threading.Event()

    with pytest.raises(Stopped):
        transcribe(folder, ordered("rtfx=1"), should_stop=lambda: not asked.set())

    wait_until(lambda: sessions(host) == 0)
    assert asked.is_set()


def test_windows_decoded_before_a_stop_are_not_lost(folder, host):
    windows = []

    with pytest.raises(Stopped):
        transcribe(
            folder, ordered("rtfx=300"), on_window=windows.append, should_stop=lambda: bool(windows)
        )

    assert [window.number for window in windows][:1] == [0]


def test_a_caller_that_dies_frees_what_it_had(folder, host):
    channel = call(folder, 0)
    wish = {"do": "borrow", "model_size": "tiny", "timeout_s": 5, "allow_downgrade": True}
    channel.say({**wish, "is_urgent": False})
    assert channel.hear()["say"] == "lent"

    channel.close()

    wait_until(lambda: sessions(host) == 0)
    assert host.status()["pool"]["borrowers"] == 0


def test_work_that_does_not_end_is_left_behind_and_shows_in_the_status(folder, host, monkeypatch):
    monkeypatch.setattr("hosting.client.STOP_PATIENCE_S", 0.2)
    with pytest.raises(Stopped), borrow(folder, "tiny", 10.0) as model:
        model.transcribe(FOUR_WINDOWS, ordered("hangs_hard"), should_stop=lambda: True)

    ignored_s = wait_until(lambda: host.status()["ignored_s"])

    assert ignored_s > 0
    assert transcribe(folder).text  # others go on


def test_a_host_that_dies_fails_its_borrowers_and_no_other_process(folder):
    with hosted(folder) as host, borrow(folder, "tiny", 10.0) as model:
        threading.Timer(0.3, lambda: hang_up(host)).start()
        with pytest.raises(ModelHostLost):
            model.transcribe(FOUR_WINDOWS, ordered("hangs"))


def hang_up(host):
    """Close its ends of all connections, as its death would."""
    for session in list(host._sessions):
        session._channel.end()


def test_a_host_that_dies_over_work_that_was_to_end_is_no_error(folder):
    with hosted(folder) as host, borrow(folder, "tiny", 10.0) as model:
        threading.Timer(0.3, lambda: hang_up(host)).start()
        with pytest.raises(Stopped):
            model.transcribe(FOUR_WINDOWS, ordered("hangs_hard"), should_stop=lambda: True)


def test_a_host_that_is_told_to_end_waits_for_its_borrowers(folder):
    with hosted(folder) as host, borrow(folder, "tiny", 10.0) as model:
        host.end(grace_s=60.0)

        assert model.transcribe(FOUR_WINDOWS, ordered("rtfx=100")).text


def test_without_any_host_a_borrower_gives_up_in_time(folder):
    with pytest.raises(ModelHostLost, match="came up"), borrow(folder, "tiny", 0.3):
        pass


def test_a_borrower_that_waits_for_a_host_can_be_stopped(folder):
    with pytest.raises(Stopped), borrow(folder, "tiny", 30.0, should_stop=lambda: True):
        pass


def test_a_borrower_waits_for_a_host_that_comes_up(folder):
    found = []
    waiter = threading.Thread(target=lambda: found.append(transcribe(folder)))
    waiter.start()

    with hosted(folder):
        waiter.join(10.0)

    assert found[0].text


def test_who_does_not_know_the_key_is_not_served(folder, host):
    stranger = HostFolder(folder.path, b"guessed")

    with pytest.raises(ModelHostLost, match="ended the call"):
        call(stranger, 0)

    assert transcribe(folder).text


def test_a_caller_that_says_nothing_holds_up_nobody(folder, host):
    with Client(str(folder.socket(0)), "AF_UNIX"):
        assert transcribe(folder).text


@pytest.mark.parametrize("word", [b"{", b'{"do": "dance"}', b"[]", b"{}"])
def test_a_caller_that_is_not_understood_is_hung_up_on(folder, host, word):
    channel = call(folder, 0)

    channel._connection.send_bytes(word)

    assert channel.is_waiting(5.0)
    with pytest.raises(EOFError):
        hear_all(channel)
    assert transcribe(folder).text


def hear_all(channel):
    while True:
        channel.hear()


def test_a_caller_that_does_not_listen_holds_up_nobody(folder, host):
    many = ordered("rtfx=0")
    hours = np.full(3600 * 16_000, 0.1, np.float32)
    with borrow(folder, "tiny", 10.0) as deaf:
        thread = threading.Thread(
            target=lambda: deaf.transcribe(hours, many, on_window=lambda _: released.wait())
        )
        released = threading.Event()
        thread.start()

        text = transcribe(folder).text
        released.set()
        thread.join()

    assert text
