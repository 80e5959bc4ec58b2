"""/jobs/: the list, and a job's place in the queue."""

from typing import Any

from flask.views import MethodView

from api.blueprint import Blueprint
from api.current import current_principal, current_services, current_tenant
from api.schemas.jobs import JobListQuerySchema, JobListSchema, JobSchema, PatchSchema
from api.transcriptions import parse_job_id
from domain.lifecycle import Priority
from services.job_lists import JobFilter, JobPage, list_jobs
from services.jobs import set_priority
from services.views import JobView

blp = Blueprint("jobs", __name__, description="All jobs")


@blp.route("/jobs/")
class Jobs(MethodView):
    """The list of jobs."""

    @blp.arguments(JobListQuerySchema, location="query")
    @blp.response(200, JobListSchema)
    @blp.fails("validation_error", "option_invalid", "cursor_invalid", "database_unavailable")
    def get(self, query: dict[str, Any]) -> JobPage:
        """List jobs, newest first, in pages that stay stable while jobs arrive."""
        cursor, limit = query.pop("cursor", None), query.pop("limit")
        filters = JobFilter(**query, tenant=current_tenant())
        return list_jobs(current_services(), filters, cursor=cursor, limit=limit)


@blp.route("/jobs/<string:job_id>")
class Job(MethodView):
    """One waiting job's place in the queue."""

    @blp.arguments(PatchSchema, location="json")
    @blp.response(200, JobSchema)
    @blp.fails(
        "request_invalid",
        "job_not_found",
        "job_state_conflict",
        "media_type_unsupported",
        "validation_error",
        "option_invalid",
        "database_unavailable",
    )
    def patch(self, body: dict[str, Any], job_id: str) -> JobView:
        """Change the priority of a job that waits; the next free worker goes by it."""
        priority = Priority[body["priority"].upper()]
        principal = current_principal()
        return set_priority(
            current_services(),
            parse_job_id(job_id),
            priority,
            tenant=principal.tenant,
            actor=principal.actor,
        )
