"""What is sent is what the tasks read: over the real broker, as the bytes that lie there."""

import base64
import json
import logging
from functools import partial

import pytest
from redis import Redis

import tasks
from celery_app import TASK_DLQ, TASK_TRANSCRIBE, make_celery
from config import QUEUE_DLQ, QUEUE_HIGH, QUEUE_NORMAL, QUEUE_RETRY
from domain.errors import AudioUnreadable
from services import dispatch
from services.dead_letter_views import list_errors
from services.transcription import run_job

TASKS = {TASK_TRANSCRIBE: tasks.transcribe_audio_task, TASK_DLQ: tasks.dlq_handler_task}


@pytest.fixture
def broker(services, monkeypatch):
    """The real broker with empty queues; messages go there."""
    sender = make_celery(lambda: services.settings)
    monkeypatch.setattr("celery_app.celery_app", sender)
    with Redis.from_url(services.settings.redis_url) as broker:
        broker.delete(QUEUE_HIGH, QUEUE_NORMAL, QUEUE_RETRY, QUEUE_DLQ)
        yield broker
        broker.delete(QUEUE_HIGH, QUEUE_NORMAL, QUEUE_RETRY, QUEUE_DLQ)
    sender.close()


def take(broker, queue):
    """The task of the next message, with its arguments bound, as a worker would call it."""
    message = json.loads(broker.rpop(queue))
    args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    return partial(TASKS[message["headers"]["task"]], *args, **kwargs)


@pytest.mark.parametrize("queue", [QUEUE_HIGH, QUEUE_NORMAL, QUEUE_RETRY])
def test_the_transcription_task_is_called_with_the_job_that_was_rung_for(
    services, broker, submit, monkeypatch, queue
):
    job_id = submit()
    answered = []
    monkeypatch.setattr(tasks, "answer", lambda job_id, queue: answered.append(job_id))

    dispatch.publish(services.settings, job_id, queue)
    take(broker, queue)()

    assert answered == [job_id]


def test_the_dead_letter_task_finds_the_failed_job_by_its_message(
    services, worker, model, submit, broker, monkeypatch, caplog
):
    job_id = submit()

    def fail(should_stop):
        raise AudioUnreadable("no frames")

    model.act = fail
    run_job(worker)
    monkeypatch.setattr(tasks, "worker_services", lambda: worker)

    dispatch.publish_dead_letter(job_id)
    with caplog.at_level(logging.ERROR):
        take(broker, QUEUE_DLQ)()

    [letter] = list_errors(services).errors
    [line] = [record for record in caplog.records if record.msg == "dead_letter"]
    assert (line.error_id, line.job_id) == (letter.id, str(job_id))
    assert line.error_type == "audio_unreadable"


def test_a_queue_that_holds_enough_messages_gets_no_more(services, broker, submit, monkeypatch):
    monkeypatch.setattr("services.broker.ENOUGH_MESSAGES", 3)
    job_id = submit()

    for _ in range(5):
        dispatch.publish(services.settings, job_id, QUEUE_NORMAL)

    assert broker.llen(QUEUE_NORMAL) == 3
