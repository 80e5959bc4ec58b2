"""The limits of a tenant, applied before anything of a request's body is read."""

from flask import Flask, Response, g, request

from api.current import current_services, current_tenant
from api.idempotency import idempotency_key
from api.scopes import needed_scope
from domain.errors import RateLimited
from services.context import Services
from services.idempotency import is_key_known
from services.limits import require_room
from services.request_rate import Rate, request_rate
from services.tenant_limits import KNOWN

WINDOW_S = 60

# Where recordings come in. `submit_job` looks again, with the size and length of each: what is
# missing here is refused all the same, only later.
SUBMISSIONS = frozenset(
    {
        ("POST", "/transcribe/"),
        ("PUT", "/transcribe/"),
        ("POST", "/v1/audio/transcriptions"),
        ("POST", "/v1/audio/translations"),
        ("POST", "/v1/speech-to-text"),
        ("POST", "/v1/listen"),
        ("POST", "/v2/upload"),
        ("POST", "/v2/transcript"),
        ("POST", "/uploads"),
        ("POST", "/batches"),
    }
)


def install_limits(app: Flask) -> None:
    """Apply the limits to every request, once it is known who asks, and tell them in answers."""
    app.before_request(apply_limits)
    app.after_request(tell_limits)


def apply_limits() -> None:
    """Count this request; of a submission, look whether the tenant may submit.

    Raises RateLimited, TooManyJobs, QuotaExceeded. What is open to all is not limited, and
    nor is an operator at /admin: he must be able to raise a limit that he ran into.
    """
    if needed_scope(request) in (None, "admin"):
        return
    services, tenant = current_services(), current_tenant()
    _count_request(services, tenant)
    rule = request.url_rule
    if rule is not None and (request.method, rule.rule) in SUBMISSIONS:
        key = idempotency_key()
        if key is None or not is_key_known(services, tenant, key):  # else it makes no new job
            require_room(services, tenant)


def tell_limits(response: Response) -> Response:
    """Say how the tenant stands to its limit, by the names of the IETF's draft."""
    rate: Rate | None = g.get("rate")
    if rate is not None:
        response.headers["RateLimit-Limit"] = str(rate.limit)
        response.headers["RateLimit-Remaining"] = str(rate.remaining)
        response.headers["RateLimit-Reset"] = str(rate.reset_s)
        response.headers["RateLimit-Policy"] = f"{rate.limit};w={WINDOW_S}"
    return response


def _count_request(services: Services, tenant: str) -> None:
    maximum = KNOWN.of(services, tenant).requests_per_minute
    if not maximum:
        return
    g.rate = rate = request_rate(services.settings.redis_url).count(tenant, maximum)
    if not rate.is_within:
        raise RateLimited(
            f"the limit is {maximum} requests a minute",
            limit="requests_per_minute",
            maximum=maximum,
            retry_after_s=rate.reset_s,
        )
