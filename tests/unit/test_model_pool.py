from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import EngineError, ModelPoolExhausted, ModelUnavailable, OutOfMemory, Stopped
from domain.options import TranscriptionOptions
from engines.fake import FakeLoader, FakeScript
from model_pool import ModelPool, acquire_model
from tests.unit.gated_loader import GatedLoader

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SPEECH = np.full(16_000, 0.1, np.float32)
SIZES = ("tiny", "base", "small", "tiny.en")


class BrokenLoader(FakeLoader):
    """Fails to load as long as `is_broken`."""

    is_broken = True

    def load(self, model_size, device):
        if self.is_broken:
            raise ModelUnavailable(f"no weights of {model_size}")
        return super().load(model_size, device)


def no_room(*places, **kwargs):
    return FakeLoader(FakeScript(no_room_to_load=frozenset(places)), **kwargs)


def transcribe(pool, size, *, allow_downgrade=True, **options):
    with acquire_model(size, 1, allow_downgrade=allow_downgrade, pool=pool) as model:
        return model.transcribe(SPEECH, TranscriptionOptions(size, **options))


def rungs(transcript):
    return [(f.rung, f.stage, f.from_model, f.to_model) for f in transcript.fallbacks]


# Lending


def test_a_model_is_loaded_once_and_lent_again():
    loader = FakeLoader()
    pool = ModelPool(loader)

    first = pool.acquire("base")
    pool.release(first)
    second = pool.acquire("base")

    assert second is first
    assert second.use_count == 2
    assert loader.loads == [("base", "cpu")]


def test_a_cold_acquire_loads_at_once_instead_of_waiting():
    pool = ModelPool(FakeLoader())

    instance = pool.acquire("base", timeout=0)

    assert instance.model_size == "base"


def test_an_alias_and_its_model_are_one():
    pool = ModelPool(FakeLoader())

    pool.release(pool.acquire("large"))
    again = pool.acquire("large-v3")

    assert again.use_count == 2


def test_a_model_for_one_borrower_is_loaded_again_for_the_next():
    pool = ModelPool(FakeLoader(max_borrowers=1))

    first, second = pool.acquire("tiny"), pool.acquire("tiny")

    assert first is not second


def test_when_all_are_lent_a_borrower_waits_in_vain():
    pool = ModelPool(FakeLoader(max_borrowers=1), capacity=1, max_capacity=1)
    pool.acquire("tiny")

    with pytest.raises(ModelPoolExhausted):
        pool.acquire("tiny", timeout=0.01)


def test_a_waiting_borrower_gets_what_another_gives_back():
    pool = ModelPool(FakeLoader(max_borrowers=1), capacity=1, max_capacity=1)
    lent = pool.acquire("tiny")

    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(pool.acquire, "tiny", 10)
        pool.release(lent)
        received = waiting.result(10)

    assert received is lent


def test_giving_back_twice_changes_nothing():
    pool = ModelPool(FakeLoader())
    instance = pool.acquire("tiny")

    pool.release(instance)
    pool.release(instance)

    assert pool.get_stats()["total_loaded"] == 1


def test_loading_one_model_does_not_hold_up_another():
    loader = GatedLoader()
    pool = ModelPool(loader)
    loader.gate.set()
    pool.release(pool.acquire("tiny"))
    loader.gate.clear()
    loader.started.clear()

    with ThreadPoolExecutor() as threads:
        slow = threads.submit(pool.acquire, "base", 10)
        assert loader.started.wait(10)
        quick = pool.acquire("tiny", timeout=1)
        loader.gate.set()

        assert slow.result(10).model_size == "base"
    assert quick.model_size == "tiny"


def test_a_failed_load_frees_its_place():
    loader = BrokenLoader()
    pool = ModelPool(loader, capacity=1, max_capacity=1)
    with pytest.raises(ModelUnavailable):
        pool.acquire("base", timeout=0)
    loader.is_broken = False

    instance = pool.acquire("base", timeout=0)

    assert instance.model_size == "base"
    assert pool.get_stats()["load_failures"] == 1


# Warm-up


def test_an_acquire_during_the_warm_up_waits_for_that_load():
    loader = GatedLoader()
    pool = ModelPool(loader)

    with ThreadPoolExecutor() as threads:
        warming = threads.submit(pool.warm_up, "base")
        assert loader.started.wait(10)
        acquiring = threads.submit(pool.acquire, "base", 10)
        loader.gate.set()

        assert warming.result(10)
        assert acquiring.result(10).model_size == "base"
    assert loader.loads == [("base", "cpu")]


def test_a_warm_up_that_fails_leaves_the_load_to_the_borrower():
    loader = BrokenLoader()
    pool = ModelPool(loader)

    assert pool.warm_up("base") is False
    loader.is_broken = False

    assert pool.acquire("base", timeout=0).model_size == "base"


def test_a_warm_up_of_a_loaded_model_does_nothing():
    loader = FakeLoader()
    pool = ModelPool(loader)
    pool.acquire("base")

    assert pool.warm_up("base") is True
    assert len(loader.loads) == 1


# Eviction


def test_the_least_recently_used_idle_model_makes_room():
    pool = ModelPool(FakeLoader(), capacity=2, max_capacity=2)
    for size in ("tiny", "base", "tiny", "small"):
        pool.release(pool.acquire(size))

    stats = pool.get_stats()

    assert sorted(stats["models_by_size"]) == ["small", "tiny"]
    assert stats["evictions"] == 1


def test_idle_models_beyond_the_capacity_are_unloaded_when_they_come_back():
    loader = FakeLoader()
    pool = ModelPool(loader, capacity=1, max_capacity=3)
    lent = [pool.acquire(size) for size in ("tiny", "base", "small")]

    for instance in lent:
        pool.release(instance)

    assert pool.get_stats()["models_by_size"] == {"small": 1}
    assert len(loader.unloads) == 2


def test_models_that_do_not_fit_together_take_turns():
    pool = ModelPool(FakeLoader(), capacity=4, max_capacity=4, max_mb=400)

    pool.release(pool.acquire("base"))  # 278 MB
    pool.release(pool.acquire("tiny"))  # 145 MB

    assert pool.get_stats()["models_by_size"] == {"tiny": 1}


def test_a_model_beyond_a_limit_set_by_hand_is_out_of_memory():
    pool = ModelPool(FakeLoader(), max_mb=200)

    with pytest.raises(OutOfMemory):
        pool.acquire("base", allow_downgrade=False)

    assert pool.acquire("base").model_size == "tiny"


def test_what_nobody_used_for_a_while_is_unloaded():
    loader = FakeLoader()
    pool = ModelPool(loader, idle_unload_s=60, now=lambda: NOON)
    pool.release(pool.acquire("tiny"))
    lent = pool.acquire("base")

    early = pool.unload_idle(NOON + timedelta(seconds=59))
    late = pool.unload_idle(NOON + timedelta(seconds=60))

    assert (early, late) == (0, 1)
    assert lent.model not in loader.unloads


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(SIZES), st.booleans()), max_size=30))
def test_whatever_happens_a_lent_model_is_never_unloaded(steps):
    loader = FakeLoader()
    pool = ModelPool(loader, capacity=1, max_capacity=3, max_mb=1500)
    lent = []  # with the same one several times

    for size, gives_back in steps:
        if gives_back and lent:
            pool.release(lent.pop(0))
        else:
            try:
                lent.append(pool.acquire(size, timeout=0))
            except ModelPoolExhausted:
                assert len(set(lent)) == 3 or pool.get_stats()["memory_mb"] > 500
        stats = pool.get_stats()
        assert not {id(i.model) for i in lent} & {id(e) for e in loader.unloads}
        assert stats["total_loaded"] <= 3
        assert stats["memory_mb"] <= 1500
        assert [m["state"] for m in stats["models"]].count("lent") == len(set(lent))
        assert stats["borrowers"] == len(lent)
        assert all(count == 1 for count in stats["models_by_size"].values())


def test_threads_never_share_a_model_for_one_borrower():
    pool = ModelPool(FakeLoader(max_borrowers=1), capacity=2, max_capacity=3)
    in_use, clashes, together = set(), [], Barrier(6)

    def borrow(number):
        together.wait(10)
        for turn in range(30):
            instance = pool.acquire(SIZES[(number + turn) % 3], timeout=10)
            clashes.extend([instance] if id(instance.model) in in_use else [])
            in_use.add(id(instance.model))
            in_use.remove(id(instance.model))
            pool.release(instance)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(borrow, range(6)))

    assert clashes == []
    assert pool.get_stats()["total_loaded"] <= 2


# Out of memory


def test_out_of_memory_at_load_ends_in_a_smaller_model_and_the_result_says_so():
    pool = ModelPool(no_room(("small", "cpu"), ("base", "cpu")))

    transcript = transcribe(pool, "small")

    assert (transcript.model_requested, transcript.model_used) == ("small", "tiny")
    assert rungs(transcript) == [
        ("smaller_model", "load", "small", "base"),
        ("smaller_model", "load", "base", "tiny"),
    ]
    assert pool.get_stats()["oom_fallbacks"] == 2


def test_out_of_memory_while_decoding_ends_in_a_smaller_model_too():
    loader = FakeLoader(FakeScript(no_room_to_decode=frozenset({("base", "cpu")})))
    pool = ModelPool(loader)

    transcript = transcribe(pool, "base")

    assert transcript.model_used == "tiny"
    assert rungs(transcript) == [("smaller_model", "decode", "base", "tiny")]
    assert [engine.info.model_size for engine in loader.unloads] == ["base"]


def test_idle_models_go_before_the_model_shrinks():
    loader = no_room(("base", "cpu"))
    pool = ModelPool(loader)
    pool.release(pool.acquire("tiny.en"))

    transcript = transcribe(pool, "base")

    assert [fallback.rung for fallback in transcript.fallbacks] == [
        "free_idle_models",
        "smaller_model",
    ]
    assert [engine.info.model_size for engine in loader.unloads] == ["tiny.en"]


def test_the_last_rung_is_the_cpu():
    loader = no_room(("base", "cuda:0"), ("tiny", "cuda:0"), devices=("cuda:0", "cpu"))
    pool = ModelPool(loader, max_mb=1000)

    transcript = transcribe(pool, "base")

    assert (transcript.model_used, transcript.device) == ("tiny", "cpu")
    assert transcript.fallbacks[-1].rung == "cpu"


def test_a_job_that_forbids_a_smaller_model_fails_with_out_of_memory():
    pool = ModelPool(no_room(("base", "cpu")))

    with pytest.raises(OutOfMemory, match="does not allow"):
        transcribe(pool, "base", allow_downgrade=False)

    assert pool.get_stats()["total_loaded"] == 0


def test_a_smaller_model_that_cannot_do_the_job_is_no_help():
    pool = ModelPool(no_room(("large-v3", "cpu")))

    with pytest.raises(OutOfMemory, match="can do what the job asks"):
        transcribe(pool, "large-v3", language="yue")


def test_the_next_job_starts_at_the_top_of_the_ladder_again():
    loader = no_room(("base", "cpu"))
    pool = ModelPool(loader)
    transcribe(pool, "base")
    loader.script = FakeScript()

    transcript = transcribe(pool, "base")

    assert transcript.model_used == "base"
    assert transcript.fallbacks == ()


# Borrowing


def test_a_stopped_model_goes_back_to_the_pool():
    loader = FakeLoader(FakeScript(hangs=True))
    pool = ModelPool(loader)

    with pytest.raises(Stopped), acquire_model("tiny", 1, pool=pool) as model:
        model.transcribe(SPEECH, TranscriptionOptions("tiny"), should_stop=lambda: True)

    assert pool.get_stats()["models"][0]["state"] == "idle"


def test_a_model_that_broke_is_unloaded():
    loader = FakeLoader(FakeScript(fails=True))
    pool = ModelPool(loader)

    with pytest.raises(EngineError):
        transcribe(pool, "tiny")

    assert pool.get_stats()["total_loaded"] == 0
    assert len(loader.unloads) == 1


# Statistics


def test_a_pool_that_nobody_asked_has_no_hit_rate():
    stats = ModelPool(FakeLoader()).get_stats()

    assert stats["hit_rate"] is None
    assert (stats["hits"], stats["misses"], stats["total_loaded"]) == (0, 0, 0)


def test_the_statistics_say_what_is_loaded_and_how_often_it_was_there():
    pool = ModelPool(FakeLoader(), now=lambda: NOON)
    for _ in range(4):
        pool.release(pool.acquire("base"))

    stats = pool.get_stats()

    assert stats["hit_rate"] == 0.75
    assert stats["models"] == [
        {
            "model_size": "base",
            "device": "cpu",
            "state": "idle",
            "borrowers": 0,
            "memory_mb": pytest.approx(278, abs=1),
            "use_count": 4,
            "loaded_at": NOON.isoformat(),
            "last_used": NOON.isoformat(),
        }
    ]


# One pool per process
