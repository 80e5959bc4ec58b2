"""What a tenant may use of an installation. 0 is no limit."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from domain.errors import OptionInvalid

MAX_LIMIT = 10**15  # a petabyte; JSON numbers stay exact up to here


@dataclass(frozen=True)
class TenantLimits:
    """The limits of one tenant."""

    requests_per_minute: int = 0
    waiting_jobs: int = 0  # a submission beyond it is refused
    running_jobs: int = 0  # jobs beyond it wait, also where a worker is free
    bytes_per_day: int = 0  # of recordings, by the days of UTC
    audio_hours_per_day: float = 0.0

    def changed(self, overrides: Mapping[str, Any]) -> Self:
        """These limits with those of `overrides`; names that are unknown here are passed over."""
        known = {name: value for name, value in overrides.items() if name in LIMITS}
        return replace(self, **known)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


LIMITS: tuple[str, ...] = tuple(TenantLimits.__dataclass_fields__)


def check_overrides(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The limits that are set in `overrides`, None being none. Raises OptionInvalid."""
    for name, value in overrides.items():
        if name not in LIMITS:
            raise OptionInvalid(f"unknown limit {name[:40]!r}", option=name[:40], allowed=[*LIMITS])
        if value is not None and not 0 <= value <= MAX_LIMIT:  # also what is no number at all
            raise OptionInvalid(
                f"{name} must be from 0, which is no limit, to {MAX_LIMIT}", option=name
            )
    return {name: value for name, value in overrides.items() if value is not None}


def seconds_to_midnight(seconds_of_day: float) -> int:
    """Whole seconds until the next day begins, from the seconds since this one began."""
    return max(1, math.ceil(86_400 - seconds_of_day))
