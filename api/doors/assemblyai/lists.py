"""Lists of transcripts, as `GET /v2/transcript` gives them."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import request

from api.current import current_services, current_tenant
from api.doors.assemblyai.shown import DOOR, shown
from api.transcriptions import parse_job_id
from formats.doors.assemblyai import STATUSES, render_item
from services.job_lists import JobFilter, encode_cursor, list_jobs
from services.jobs import get_job
from services.views import JobView


def page_of(query: dict[str, Any]) -> dict[str, Any]:
    """One page of transcripts that came by this door, newest first. Raises JobNotFound."""
    limit: int = query["limit"]
    found, has_more = _find(query, limit)
    page = found[:limit]
    older = _address(query, before_id=str(page[-1].job_id)) if has_more and page else None
    return {
        "page_details": {
            "limit": limit,
            "result_count": len(page),
            "current_url": _address(query),
            "prev_url": older,  # AssemblyAI calls the older page the previous one
            "next_url": None,
        },
        "transcripts": [
            render_item(shown(job), f"{request.base_url}/{job.job_id}") for job in page
        ],
    }


def _find(query: dict[str, Any], limit: int) -> tuple[list[JobView], bool]:
    """Jobs, newest first, and whether there are more. Several of our statuses may be one there."""
    services, tenant = current_services(), current_tenant()
    cursor = None
    if "before_id" in query:
        job = get_job(services, parse_job_id(query["before_id"]), tenant=tenant)
        cursor = encode_cursor(job.created_at, job.job_id)
    created_from, created_to = _day(query.get("created_on"))
    pages = [
        list_jobs(
            services,
            JobFilter(
                tenant=tenant,
                door=DOOR,
                status=status,
                created_from=created_from,
                created_to=created_to,
            ),
            cursor=cursor,
            limit=limit,
        )
        for status in _statuses(query.get("status"))
    ]
    jobs = [job for page in pages for job in page.jobs]
    jobs.sort(key=lambda job: (job.created_at, job.job_id), reverse=True)
    return jobs, len(jobs) > limit or any(page.has_more for page in pages)


def _statuses(word: str | None) -> Iterable[str | None]:
    if word is None:
        return (None,)
    return [str(status) for status, shown_as in STATUSES.items() if shown_as == word]


def _day(day: date | None) -> tuple[datetime | None, datetime | None]:
    if day is None:
        return None, None
    begin = datetime.combine(day, time(), UTC)
    return begin, None if day == date.max else begin + timedelta(days=1)


def _address(query: dict[str, Any], **changes: str) -> str:
    return f"{request.base_url}?{urlencode({**query, **changes})}"
