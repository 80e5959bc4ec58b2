"""Model hosts with fake engines, in threads of the test or in processes of their own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

from domain.options import TranscriptionOptions
from engines.fake import FakeLoader
from hosting.client import describe_hosts
from hosting.folder import open_folder
from hosting.server import ModelHost
from model_pool import ModelPool, acquire_model
from tests.integration.embedded.waiting import wait_until

OPTIONS = TranscriptionOptions("tiny")
FOUR_WINDOWS = np.full(100 * 16_000, 0.1, np.float32)


@pytest.fixture
def folder(tmp_path):
    return open_folder(tmp_path)


@contextmanager
def hosted(folder, loader=None, *, place=0, linger_s=60.0) -> Iterator[ModelHost]:
    """A host in a thread, which listens on entry and has ended on leaving."""
    pool = ModelPool(loader or FakeLoader(), max_mb=10_000)
    host = ModelHost(
        folder,
        place,
        lend=partial(acquire_model, pool=pool),
        describe=lambda: {"device": "cpu", "devices": 1, "pool": pool.get_stats()},
        linger_s=linger_s,
    )
    thread = threading.Thread(target=host.run)
    thread.start()
    wait_until(lambda: describe_hosts(folder))
    try:
        yield host
    finally:
        host.end()
        thread.join()


@pytest.fixture
def host(folder):
    with hosted(folder) as host:
        yield host
