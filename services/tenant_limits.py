"""The limits of tenants: the settings' own, and what was changed for one at run time."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert

from config import Settings
from domain.access import DEFAULT_TENANT
from domain.errors import DatabaseUnavailable, TenantNotFound
from domain.limits import LIMITS, TenantLimits, check_overrides
from models import Tenant
from services.context import Services

logger = logging.getLogger(__name__)

REMEMBER_S = 5.0  # so long another process may still go by the old limits
MAX_REMEMBERED = 10_000


def default_limits(settings: Settings) -> TenantLimits:
    """What holds for a tenant that has no limits of its own."""
    return TenantLimits(
        requests_per_minute=settings.limit_requests_per_minute,
        waiting_jobs=settings.limit_waiting_jobs,
        running_jobs=settings.limit_running_jobs,
        bytes_per_day=settings.limit_bytes_per_day,
        audio_hours_per_day=settings.limit_audio_hours_per_day,
    )


@dataclass(frozen=True)
class RunningLimits:
    """How many jobs of a tenant may run at the same time."""

    default: int
    by_tenant: Mapping[str, int]

    @property
    def is_any(self) -> bool:
        """Whether anybody has such a limit at all."""
        return bool(self.default or any(self.by_tenant.values()))

    def of(self, tenant: str) -> int:
        """The limit of this tenant; 0 is none."""
        return self.by_tenant.get(tenant, self.default)


NEVER_ASKED: tuple[float, Mapping[str, int]] = (-math.inf, {})


class KnownLimits:
    """The overrides of tenants, remembered for a few seconds by each process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, dict[str, Any]]] = {}
        self._running = NEVER_ASKED

    def of(self, services: Services, tenant: str) -> TenantLimits:
        """What holds for a tenant now.

        While the database is away that is what held before, or the settings' limits.
        """
        known = self._known.get(tenant)
        if known is None or self._clock() >= known[0]:
            known = self._ask(services, tenant, known)
        return default_limits(services.settings).changed(known[1])

    def running_jobs(self, services: Services) -> RunningLimits:
        """How many jobs of each tenant may run. Raises DatabaseUnavailable."""
        fresh_until, by_tenant = self._running
        if self._clock() >= fresh_until:
            with services.open_statement() as session:
                rows = session.execute(
                    select(Tenant.name, Tenant.limits).where(Tenant.limits.has_key("running_jobs"))
                ).all()
            by_tenant = {row.name: row.limits["running_jobs"] for row in rows}
            self._running = self._clock() + REMEMBER_S, by_tenant
        return RunningLimits(services.settings.limit_running_jobs, by_tenant)

    def forget(self) -> None:
        """Ask the database again: somebody's limits were changed."""
        self._known.clear()
        self._running = NEVER_ASKED

    def _ask(
        self, services: Services, tenant: str, before: tuple[float, dict[str, Any]] | None
    ) -> tuple[float, dict[str, Any]]:
        try:
            with services.open_statement() as session:
                overrides = session.scalar(select(Tenant.limits).where(Tenant.name == tenant))
        except DatabaseUnavailable as error:
            logger.warning("limits_not_known", extra={"reason": error.message})
            overrides = before[1] if before else {}
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        known = self._clock() + REMEMBER_S, overrides or {}
        self._known[tenant] = known
        return known


KNOWN = KnownLimits()  # of this process


def get_overrides(services: Services, tenant: str) -> dict[str, Any]:
    """The limits that were set for this tenant alone. Raises TenantNotFound."""
    if "\0" in tenant:  # Postgres would not even look
        raise _not_found()
    with services.open_statement() as session:
        row = session.execute(select(Tenant.limits).where(Tenant.name == tenant)).one_or_none()
    if row is None and tenant != DEFAULT_TENANT:
        raise _not_found()
    return {} if row is None else _known_ones(row.limits)


def replace_overrides(
    services: Services, tenant: str, overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Set these limits for a tenant, and the settings' for the rest. Returns what is set.

    Raises OptionInvalid, TenantNotFound.
    """
    get_overrides(services, tenant)  # raises for a tenant that is not there
    return _write(services, tenant, cast({}, JSONB), check_overrides(overrides))


def change_overrides(
    services: Services, tenant: str, overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Set the limits that are named; None gives one back to the settings. Returns what is set.

    Raises OptionInvalid, TenantNotFound.
    """
    get_overrides(services, tenant)  # as above
    # Left to Postgres: of two that change different limits at once neither undoes the other.
    kept = Tenant.limits.op("-")(cast([*overrides], ARRAY(Text)))
    return _write(services, tenant, kept, check_overrides(overrides))


def _write(
    services: Services, tenant: str, kept: ColumnElement[Any], given: dict[str, Any]
) -> dict[str, Any]:
    limits = kept.op("||")(cast(given, JSONB))
    statement: Any
    if tenant == DEFAULT_TENANT:  # it is there even where no row says so
        statement = (
            insert(Tenant)
            .values(name=tenant, limits=given)
            .on_conflict_do_update(index_elements=["name"], set_={"limits": limits})
        )
    else:
        statement = (
            update(Tenant)
            .where(Tenant.name == tenant)
            .values(limits=limits)
            .execution_options(synchronize_session=False)
        )
    with services.open_statement() as session:
        row = session.execute(statement.returning(Tenant.limits)).one_or_none()
    if row is None:
        raise _not_found()
    overrides = _known_ones(row.limits)
    KNOWN.forget()
    logger.info("limits_changed", extra={"tenant": tenant, "limits": overrides})
    return overrides


def _known_ones(limits: Mapping[str, Any]) -> dict[str, Any]:
    return {name: limits[name] for name in LIMITS if name in limits}


def _not_found() -> TenantNotFound:
    return TenantNotFound("there is no tenant of this name")
