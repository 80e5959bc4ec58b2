import socket

import pytest

from domain.errors import ConfigurationError
from embedded import ports
from embedded.ports import PORT_RANGE, is_free, next_free_port, remembered_port


@pytest.fixture
def busy_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_someone_listens_on_is_not_free(busy_port):
    assert not is_free(busy_port)


def test_the_next_free_port_is_not_the_busy_one(busy_port):
    found = next_free_port(busy_port)

    assert found > busy_port
    assert is_free(found)


def test_running_out_of_neighbours_says_so(busy_port, monkeypatch):
    monkeypatch.setattr(ports, "NEIGHBOURS", 1)

    with pytest.raises(ConfigurationError, match="no free port"):
        next_free_port(busy_port)


def test_a_port_is_remembered_from_one_start_to_the_next(tmp_path):
    first = remembered_port(tmp_path / "run" / "ports.json", "postgres")

    second = remembered_port(tmp_path / "run" / "ports.json", "postgres")

    assert first == second
    assert first in PORT_RANGE


def test_a_remembered_port_that_was_taken_meanwhile_is_replaced(tmp_path, busy_port):
    path = tmp_path / "ports.json"
    path.write_text(f'{{"postgres": {busy_port}, "valkey": 20001}}')

    port = remembered_port(path, "postgres")

    assert port != busy_port
    assert '"valkey": 20001' in path.read_text()


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"postgres": "many"}', "null"])
def test_a_damaged_memory_of_ports_is_no_obstacle(tmp_path, content):
    path = tmp_path / "ports.json"
    path.write_text(content)

    assert remembered_port(path, "postgres") in PORT_RANGE
