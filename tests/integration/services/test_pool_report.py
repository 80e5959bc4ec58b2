"""The models live in the model hosts; the health page shows them as the workers report them."""

from dataclasses import replace

from models import WorkerProcess
from services.health import admin_health
from services.presence import Presence


def host(place=0, **pool):
    """A status that a host could have given."""
    return {
        "pid": 7,
        "place": place,
        "device": "cpu",
        "sessions": 0,
        "ignored_s": 0.0,
        "pool": pool,
    }


def child(worker, pid, *hosts):
    """A prefork child that has reported the hosts of its machine."""
    Presence(
        replace(worker, worker=f"machine:1/{pid}", describe_hosts=lambda: list(hosts))
    ).report()


def test_a_host_that_two_children_report_counts_once(services, worker):
    child(worker, 2, host(hits=3, misses=1, models_by_size={"base": 1}))
    child(worker, 3, host(hits=4, misses=1, models_by_size={"base": 1}))

    found = admin_health(services)

    assert len(found["model_hosts"]) == 1
    assert (found["model_pool"]["hits"], found["model_pool"]["hit_rate"]) == (4, 0.8)
    assert found["model_pool"]["models_by_size"] == {"base": 1}


def test_the_hosts_of_a_machine_are_added_up(services, worker):
    first = host(0, hits=3, misses=1, models=[{"size": "base", "memory_mb": 300.5}])
    second = host(1, hits=1, misses=3, oom_fallbacks=2)

    child(worker, 2, first, second)
    pool = admin_health(services)["model_pool"]

    assert (pool["hits"], pool["misses"], pool["oom_fallbacks"]) == (4, 4, 2)
    assert (pool["hit_rate"], pool["memory_mb"]) == (0.5, 300.5)


def test_a_machine_whose_workers_see_no_host_is_not_well(services, worker):
    child(worker, 2)

    assert admin_health(services)["status"] == "degraded"


def test_what_an_older_worker_reported_does_no_harm(services, worker):
    child(worker, 2, host(hits=1))
    with services.open_session() as session:
        session.query(WorkerProcess).update({"pool": {"hits": 5}})

    assert admin_health(services)["model_hosts"] == []
