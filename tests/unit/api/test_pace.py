"""A sender has to keep a pace; a reader that takes its time costs him nothing."""

import socket
import threading

import pytest

from api.pace import PacedSocket


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Source:
    """A socket of which every `recv` takes as long as it is told."""

    def __init__(self, clock, steps):
        self.clock = clock
        self.steps = list(steps)  # seconds, bytes
        self.timeout = None

    def gettimeout(self):
        return self.timeout

    def settimeout(self, seconds):
        self.timeout = seconds

    def recv(self, size, flags=0):
        seconds, data = self.steps.pop(0)
        if self.timeout is not None and seconds > self.timeout:
            self.clock.now += self.timeout
            raise TimeoutError
        self.clock.now += seconds
        return data

    def fileno(self):
        return 7


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def paced(clock):
    def paced(*steps):
        return PacedSocket(Source(clock, steps), grace_s=10, min_bytes_per_s=100, clock=clock)

    return paced


def test_a_silent_sender_is_cut_off_after_the_grace(paced, clock):
    connection = paced((60, b"late"))

    with pytest.raises(ConnectionResetError):
        connection.recv(8192)
    assert clock.now == 10


def test_dripping_single_bytes_does_not_buy_time_for_ever(paced, clock):
    connection = paced(*[(3, b"x")] * 4)
    for _ in range(3):
        connection.recv(1)

    with pytest.raises(ConnectionResetError):
        connection.recv(1)
    assert clock.now == pytest.approx(10.03)


def test_bytes_buy_time_at_the_least_pace(paced):
    connection = paced((9, b"x" * 1000), (9, b"x" * 1000), (9, b"end"))

    received = [connection.recv(8192) for _ in range(3)]

    assert received[-1] == b"end"


def test_what_was_sent_fast_buys_no_long_silence(paced, clock):
    connection = paced((1, b"x" * 1_000_000), (11, b"late"))
    connection.recv(8192)

    with pytest.raises(ConnectionResetError):
        connection.recv(8192)
    assert clock.now == 11


def test_time_in_which_nobody_reads_is_not_the_senders(paced, clock):
    connection = paced((1, b"first"), (1, b"second"))
    connection.recv(8192)

    clock.now += 3600

    assert connection.recv(8192) == b"second"


def test_the_next_request_begins_anew(paced):
    connection = paced((9, b"one"), (9, b"two"))
    connection.recv(8192)

    connection.begin()

    assert connection.recv(8192) == b"two"


def test_a_shorter_timeout_of_somebody_else_stays_his(paced, clock):
    connection = paced((5, b"x"))
    connection.settimeout(2)

    with pytest.raises(TimeoutError) as caught:
        connection.recv(8192)
    assert not isinstance(caught.value, ConnectionResetError)
    assert (clock.now, connection.gettimeout()) == (2, 2)


def test_all_else_is_the_socket_itself(paced):
    assert paced().fileno() == 7


def test_a_real_socket_is_cut_off_too():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = PacedSocket(ours, grace_s=0.05, min_bytes_per_s=1000)
        threading.Thread(target=theirs.sendall, args=(b"hello",)).start()

        first = connection.recv(8192)

        assert first == b"hello"
        with pytest.raises(ConnectionResetError):
            connection.recv(8192)
        assert ours.gettimeout() is None
