import re

import pytest

from config import CONSUMED_QUEUES, Settings, load_settings, problems
from domain.errors import ConfigurationError
from tests.source_tree import ROOT

GOOD = {
    "_env_file": None,
    "database_url": "postgresql://user:pw@db/scriptorium",
    "redis_url": "redis://localhost/0",
    "admin_api_key": "0123456789abcdef",
}


def test_the_queues_are_served_high_normal_retry_and_never_dead_letters():
    assert load_settings(**GOOD).queues == CONSUMED_QUEUES
    assert CONSUMED_QUEUES == (
        "transcription.high",
        "transcription.normal",
        "transcription.retry",
    )


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_the_driver_is_named_whatever_the_address_says(scheme):
    settings = load_settings(**{**GOOD, "database_url": f"{scheme}://db/x"})

    assert settings.sqlalchemy_url == "postgresql+psycopg2://db/x"


def test_every_problem_is_reported_at_once():
    settings = Settings(
        _env_file=None,
        database_url="sqlite:///x",
        redis_url="amqp://x",
        admin_api_key="short",
        model_size="huge",
        heartbeat_s=20,
        lease_s=30,
        model_pool_size=3,
        model_pool_max_size=2,
        worker_queues="transcription.hihg",
    )

    found = problems(settings)

    named = [
        "DATABASE_URL",
        "REDIS_URL",
        "ADMIN_API_KEY",
        "WHISPER_MODEL_SIZE",
        "LEASE_S",
        "MODEL_POOL_MAX_SIZE",
        "WORKER_QUEUES",
    ]
    assert len(found) == len(named)
    assert all(any(name in problem for problem in found) for name in named)


def test_a_value_of_the_wrong_kind_is_named_as_the_environment_names_it(monkeypatch):
    monkeypatch.setenv("CELERY_CONCURRENCY", "many")

    with pytest.raises(ConfigurationError, match="CELERY_CONCURRENCY"):
        load_settings(**GOOD)


def test_the_owners_names_reach_the_settings(monkeypatch):
    monkeypatch.setenv("WHISPER_MODEL_SIZE", "tiny")
    monkeypatch.setenv("CELERY_CONCURRENCY", "4")
    monkeypatch.setenv("MAX_UPLOAD_SIZE_MB", "7")

    settings = load_settings(**GOOD)

    assert (settings.model_size, settings.celery_worker_concurrency) == ("tiny", 4)
    assert settings.max_upload_bytes == 7 * 1024 * 1024


@pytest.mark.parametrize("key", ["changemechangeme", "a" * 40, "your-secret-admin-key", "short"])
def test_an_admin_key_that_can_be_guessed_is_refused(key):
    with pytest.raises(ConfigurationError, match="ADMIN_API_KEY"):
        load_settings(**{**GOOD, "admin_api_key": key})


def test_the_example_as_it_is_has_no_admin_key():
    example = (ROOT / ".env.example").read_text()
    (given,) = re.findall(r"^ADMIN_API_KEY=(.*)$", example, re.MULTILINE)

    with pytest.raises(ConfigurationError, match="ADMIN_API_KEY is required"):
        load_settings(**{**GOOD, "admin_api_key": given})
