"""One copy of a model for many borrowers."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import monotonic, sleep

import pytest

from domain.errors import ModelPoolExhausted, ModelUnavailable, OutOfMemory
from engines.fake import FakeLoader, FakeScript
from model_pool import ModelPool
from tests.unit.gated_loader import GatedLoader


def test_all_borrowers_of_one_size_share_a_model():
    loader = FakeLoader()
    pool = ModelPool(loader)

    lent = [pool.acquire("tiny") for _ in range(20)]

    assert len(set(map(id, lent))) == 1
    assert loader.loads == [("tiny", "cpu")]
    assert lent[0].borrowers == 20


def test_a_shared_model_is_in_use_until_its_last_borrower_gives_it_back():
    loader = FakeLoader()
    pool = ModelPool(loader, capacity=1, max_capacity=1)
    first, second = pool.acquire("tiny"), pool.acquire("tiny")
    pool.release(first)

    with pytest.raises(ModelPoolExhausted):
        pool.acquire("base", timeout=0.01)
    pool.release(second)

    assert pool.acquire("base", timeout=0).model_size == "base"
    assert loader.unloads == [second.model]


def test_borrowers_who_come_while_it_loads_wait_for_that_load():
    loader = GatedLoader()
    pool = ModelPool(loader)

    with ThreadPoolExecutor() as threads:
        first = threads.submit(pool.acquire, "base", 10)
        assert loader.started.wait(10)
        others = [threads.submit(pool.acquire, "base", 10) for _ in range(3)]
        loader.gate.set()
        lent = [future.result(10) for future in (first, *others)]

    assert loader.loads == [("base", "cpu")]
    assert {id(instance) for instance in lent} == {id(lent[0])}


def test_all_who_waited_for_a_load_that_failed_get_an_error_of_their_own():
    loader = GatedLoader(FakeScript(no_room_to_load=frozenset({("base", "cpu")})))
    pool = ModelPool(loader)

    with ThreadPoolExecutor() as threads:
        asked = [threads.submit(pool.acquire, "base", 10, allow_downgrade=False) for _ in range(4)]
        wait_for_waiters(pool, 3)
        loader.gate.set()
        errors = [future.exception(10) for future in asked]

    assert [type(error) for error in errors] == [OutOfMemory] * 4
    assert len(set(map(id, errors))) == 4
    assert len(loader.loads) == 1


def test_all_who_waited_for_a_load_without_room_share_the_smaller_model():
    loader = GatedLoader(FakeScript(no_room_to_load=frozenset({("base", "cpu")})))
    pool = ModelPool(loader)

    with ThreadPoolExecutor() as threads:
        asked = [threads.submit(pool.acquire, "base", 10) for _ in range(4)]
        wait_for_waiters(pool, 3)
        loader.gate.set()
        lent = [future.result(10) for future in asked]

    assert {id(instance) for instance in lent} == {id(lent[0])}
    assert loader.loads == [("base", "cpu"), ("tiny", "cpu")]


def test_who_waited_for_a_warm_up_that_failed_loads_for_itself():
    class FailsOnce(GatedLoader):
        def load(self, model_size, device):
            is_first = not self.started.is_set()
            engine = super().load(model_size, device)
            if is_first:
                raise ModelUnavailable("not yet")
            return engine

    loader = FailsOnce()
    pool = ModelPool(loader)

    with ThreadPoolExecutor() as threads:
        warming = threads.submit(pool.warm_up, "base")
        assert loader.started.wait(10)
        acquiring = threads.submit(pool.acquire, "base", 10)
        wait_for_waiters(pool, 1)
        loader.gate.set()

        assert warming.result(10) is False
        assert acquiring.result(10).model_size == "base"


def test_a_model_that_grew_keeps_others_out_until_it_is_given_back():
    pool = ModelPool(FakeLoader(), capacity=4, max_capacity=4, max_mb=600)
    grown = pool.acquire("base")  # 278 MB
    pool.release(pool.acquire("tiny"))  # 145 MB
    grown.model.info = replace(grown.model.info, memory_mb=590)

    with pytest.raises(ModelPoolExhausted):
        pool.acquire("tiny.en", timeout=0.01)
    pool.release(grown)

    assert pool.acquire("tiny.en", timeout=0).model_size == "tiny.en"
    assert pool.get_stats()["models_by_size"] == {"tiny.en": 1}


def test_a_broken_model_is_lent_to_nobody_new_and_unloaded_by_its_last_borrower():
    loader = FakeLoader()
    pool = ModelPool(loader)
    first, second = pool.acquire("tiny"), pool.acquire("tiny")

    pool.discard(first)
    unloaded_early = list(loader.unloads)
    third = pool.acquire("tiny")
    pool.release(second)

    assert unloaded_early == []
    assert third is not first
    assert loader.unloads == [first.model]
    assert pool.get_stats()["models_by_size"] == {"tiny": 1}


def test_the_statistics_count_the_borrowers_of_a_model():
    pool = ModelPool(FakeLoader())
    for size in ("base", "base", "tiny"):
        pool.acquire(size)

    stats = pool.get_stats()

    assert stats["borrowers"] == 3
    assert [(m["model_size"], m["borrowers"]) for m in stats["models"]] == [
        ("base", 2),
        ("tiny", 1),
    ]


def wait_for_waiters(pool, count):
    deadline_s = monotonic() + 10
    while len(pool._changed._waiters) < count:
        assert monotonic() < deadline_s
        sleep(0.001)
