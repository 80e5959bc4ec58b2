"""What happens where a process cannot be cut off from the network; that it is: see test_child."""

import logging
import threading

import pytest

from audio import isolation
from audio.isolation import MACHINES, start_without_network


@pytest.fixture(autouse=True)
def _nothing_was_said_yet():
    isolation._warn_once.cache_clear()
    yield
    isolation._warn_once.cache_clear()


def test_what_is_started_comes_back():
    assert start_without_network(lambda: "started") == "started"


def test_what_starting_raises_is_raised():
    def fail():
        raise FileNotFoundError("no such program")

    with pytest.raises(FileNotFoundError):
        start_without_network(fail)


def test_the_thread_that_gave_its_network_up_is_gone_afterwards():
    threads = []

    start_without_network(lambda: threads.append(threading.current_thread()))

    assert threads[0] is not threading.main_thread()
    assert not threads[0].is_alive()


def test_on_another_machine_the_program_starts_and_the_log_says_once_what_is_missing(
    monkeypatch, caplog
):
    monkeypatch.setattr(isolation.platform, "machine", lambda: "mips")
    caplog.set_level(logging.WARNING)

    results = [start_without_network(lambda: "started") for _ in range(2)]

    assert results == ["started", "started"]
    assert [record.message for record in caplog.records] == ["decoder_keeps_network"]


def test_where_the_kernel_refuses_the_filter_the_log_gives_its_reason(monkeypatch, caplog):
    wrong = MACHINES["x86_64"]._replace(seccomp=100_000)  # no such call
    monkeypatch.setattr(isolation, "MACHINES", dict.fromkeys(MACHINES, wrong))
    caplog.set_level(logging.WARNING)

    assert start_without_network(lambda: "started") == "started"
    assert caplog.records[0].reason == "Function not implemented"


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_every_jump_of_the_filter_stays_within_it(machine):
    code = isolation._filter(machine)
    lines = [code[at : at + 8] for at in range(0, len(code), 8)]

    targets = [number + 1 + max(line[2], line[3]) for number, line in enumerate(lines)]

    assert max(targets[:-1]) < len(lines)
    assert lines[-1][0] == isolation.RETURN
