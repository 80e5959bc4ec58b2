"""/jobs/: the list."""

from typing import Any

from flask.views import MethodView

from api.blueprint import Blueprint
from api.current import current_services
from api.schemas.jobs import JobListQuerySchema, JobListSchema
from services.job_lists import JobFilter, JobPage, list_jobs

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
        return list_jobs(current_services(), JobFilter(**query), cursor=cursor, limit=limit)
