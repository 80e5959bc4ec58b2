import pytest

from celery_app import celery_config, make_celery
from config import load_settings
from services.dispatch import queue_for


@pytest.fixture
def settings():
    return load_settings(
        _env_file=None,
        database_url="postgresql://db/x",
        redis_url="redis://localhost:1/0",
        admin_api_key="0123456789abcdef",
    )


def test_messages_are_acknowledged_early_since_the_lease_guards_the_job(settings):
    config = celery_config(settings)

    assert config["task_acks_late"] is False
    assert config["task_reject_on_worker_lost"] is False
    assert config["worker_disable_prefetch"] is True


def test_no_limit_of_celery_ends_a_job_and_none_of_redis_repeats_it(settings):
    config = celery_config(settings)

    assert {"task_time_limit", "task_soft_time_limit"}.isdisjoint(config)
    assert config["result_backend"] is None
    assert config["broker_transport_options"]["visibility_timeout"] == settings.visibility_timeout_s


def test_the_order_of_the_queues_is_the_only_priority(settings):
    options = celery_config(settings)["broker_transport_options"]

    assert options["queue_order_strategy"] == "priority"
    assert options["priority_steps"] == [0]


def test_the_owners_four_queues_exist_and_no_other(settings):
    app = make_celery(lambda: settings)

    assert list(app.amqp.queues) == [
        "transcription.high",
        "transcription.normal",
        "transcription.retry",
        "transcription.dlq",
    ]


@pytest.mark.parametrize(
    ("priority", "attempt", "queue"),
    [
        (0, 0, "transcription.high"),
        (1, 0, "transcription.normal"),
        (0, 1, "transcription.high"),
        (1, 3, "transcription.retry"),
    ],
)
def test_a_job_is_rung_for_on_the_queue_of_its_turn(priority, attempt, queue):
    assert queue_for(priority, attempt) == queue
