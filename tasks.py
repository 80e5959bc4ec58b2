"""The Celery tasks: doorbells with a job id. What they do stands in services/."""

from uuid import UUID

from celery import Task

from celery_app import TASK_DLQ, TASK_TRANSCRIBE, celery_app
from config import QUEUE_NORMAL
from services.dead_letters import note_dead_letter
from services.worker_context import worker_services
from services.worker_process import answer


@celery_app.task(name=TASK_TRANSCRIBE, ignore_result=True, bind=True)
def transcribe_audio_task(self: "Task[[str], None]", job_id: str) -> None:
    """Work on what waits, the best first. Safe to deliver twice."""
    came_by = self.request.delivery_info or {}
    answer(UUID(job_id), queue=came_by.get("routing_key") or QUEUE_NORMAL)


@celery_app.task(name=TASK_DLQ, ignore_result=True)
def dlq_handler_task(job_id: str) -> None:
    """Log the dead letter of one job, for whoever drains the dead-letter queue."""
    note_dead_letter(worker_services().base, UUID(job_id))
