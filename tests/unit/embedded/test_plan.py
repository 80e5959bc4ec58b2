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
        plan.worker(settings, environment),
        plan.flower(5555, environment),
    ]

    words = " ".join(word for service in services for word in service.argv)

    assert all(secret in " ".join(environment.values()) for secret in SECRETS)
    assert not any(secret in words for secret in SECRETS)
    assert not any(secret in repr(services) for secret in SECRETS)
    assert {service.name for service in services} <= set(plan.NAMES)


def test_the_worker_has_its_grace_and_a_little_more_to_stop(settings):
    worker = plan.worker(settings, {})

    assert worker.stop_timeout_s > settings.shutdown_grace_s
