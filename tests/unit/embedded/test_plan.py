import pytest

from config import Settings
from embedded import plan
from embedded.launcher import environment_of

SECRETS = ("the-database-password", "the-broker-password", "the-admin-key-1234", "flower-password")


@pytest.fixture
def settings():
    database, broker, admin, flower = SECRETS
    return Settings(
        _env_file=None,
        database_url=f"postgresql://u:{database}@127.0.0.1/d",
        redis_url=f"redis://:{broker}@127.0.0.1/0",
        admin_api_key=admin,
        flower_basic_auth=f"scriptorium:{flower}",
    )


def test_no_secret_stands_on_a_command_line(settings):
    environment = environment_of(settings)
    services = [
        plan.migration(environment),
        plan.weights("base", environment),
        plan.web("http://127.0.0.1:8000", environment),
        plan.reconciler(environment),
        *plan.workers(settings, environment),
        plan.flower(5555, environment),
    ]

    words = " ".join(word for service in services for word in service.argv)

    assert all(secret in " ".join(environment.values()) for secret in SECRETS)
    assert not any(secret in words for secret in SECRETS)
    assert not any(secret in repr(services) for secret in SECRETS)
    assert {service.name for service in services} <= set(plan.names(settings))


def test_the_worker_has_its_grace_and_a_little_more_to_stop(settings):
    [worker] = plan.workers(settings, {})

    assert worker.stop_timeout_s > settings.shutdown_grace_s


@pytest.mark.parametrize(
    ("workers", "high_only_slots", "names"),
    [
        (1, 0, ["worker"]),
        (2, 0, ["worker-1", "worker-2"]),
        (1, 1, ["worker", "worker-high"]),
        (3, 2, ["worker-1", "worker-2", "worker-3", "worker-high"]),
    ],
)
def test_there_are_as_many_workers_as_asked_for_each_with_a_name_that_has_a_colour(
    settings, workers, high_only_slots, names
):
    asked = settings.model_copy(update={"workers": workers, "high_only_slots": high_only_slots})

    services = plan.workers(asked, {})

    assert [service.name for service in services] == names
    assert set(names) <= set(plan.names(asked))
    assert len({service.argv for service in services}) == len(services)


def test_a_sole_worker_is_started_without_any_option(settings):
    [worker] = plan.workers(settings, {})

    assert worker.argv[1:] == ("worker.py", "worker")


def test_the_worker_of_the_urgent_jobs_consumes_no_other_queue(settings):
    asked = settings.model_copy(update={"high_only_slots": 2})

    *_, worker = plan.workers(asked, {})

    options = dict(zip(worker.argv[3::2], worker.argv[4::2], strict=True))
    assert options == {
        "--name": "worker-high",
        "--queues": "transcription.high",
        "--concurrency": "2",
    }
