"""A small internet on loopback: names that resolve as told, and addresses that lead to peers."""

from contextlib import ExitStack

import pytest
import urllib3.util.connection

from outgoing.rules import Limits, Rules
from tests.peer import Peer, peer, trust_in_peers

PUBLIC = "93.184.216.34"
QUICK = Limits(connect_s=5, idle_s=5, total_s=10)


class Internet:
    """Knows names and addresses. Whoever dials a name, not an address, fails the test."""

    def __init__(self, stack: ExitStack) -> None:
        self.dialled: list[tuple[str, int]] = []
        self.asked: list[str] = []
        self.names: dict[str, list[list[str]]] = {}  # successive answers; the last one stays
        self.places: dict[tuple[str, int], Peer] = {}
        self._stack = stack
        self._connect = urllib3.util.connection.create_connection

    def serve(self, script, *, host="files.test", address=PUBLIC, port=443, **options) -> Peer:
        """Let a script answer at this address, and the name lead to it."""
        served = self._stack.enter_context(peer(script, **options))
        self.places[address, port] = served
        self.names.setdefault(host, [[address]])
        return served

    def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        answers = self.names.get(host)
        if not answers:
            raise OSError("no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def dial(self, address, *arguments, **options):
        self.dialled.append(address)
        if address not in self.places:
            raise ConnectionRefusedError
        return self._connect(("127.0.0.1", self.places[address].port), *arguments, **options)


@pytest.fixture
def internet(monkeypatch):
    with ExitStack() as stack:
        world = Internet(stack)
        monkeypatch.setattr(urllib3.util.connection, "create_connection", world.dial)
        yield world


@pytest.fixture
def rules(internet):
    return Rules(resolve=internet.resolve, make_tls=trust_in_peers)
