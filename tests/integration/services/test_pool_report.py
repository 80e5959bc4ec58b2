"""The model pools live in the workers; the health page shows theirs, not the web's own."""

from dataclasses import replace

import model_pool
from services.health import admin_health
from services.presence import Presence


def child(worker, name, **stats):
    """A prefork child that has reported its pool."""
    Presence(replace(worker, worker=name, pool_stats=lambda: stats)).report()


def test_the_health_page_adds_up_what_the_workers_reported(services, worker):
    child(
        worker,
        "host:1/2",
        hits=3,
        misses=1,
        models_by_size={"base": 1},
        models=[{"size": "base", "memory_mb": 300.5}],
    )
    child(worker, "host:1/3", hits=1, misses=3, oom_fallbacks=2, models_by_size={"base": 1})

    pool = admin_health(services)["model_pool"]

    assert (pool["hits"], pool["misses"], pool["oom_fallbacks"]) == (4, 4, 2)
    assert (pool["hit_rate"], pool["models_by_size"]) == (0.5, {"base": 2})
    assert pool["memory_mb"] == 300.5


def test_the_health_page_does_not_ask_a_pool_of_its_own(services, worker, monkeypatch):
    def refuse():
        raise AssertionError("the web process has no pool")

    monkeypatch.setattr(model_pool, "get_pool", refuse)
    child(worker, "host:1/2", hits=1)

    assert admin_health(services)["model_pool"]["hits"] == 1
