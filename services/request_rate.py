"""How many requests a tenant sends: counted on Valkey, for all processes together.

While Valkey is away each process counts on its own, from zero: then a tenant may send as many
requests as there are processes times its limit. To let nobody in would make a cache's outage
one of the whole service, and to count nobody would leave it open to everybody.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

logger = logging.getLogger(__name__)

PREFIX = "scriptorium:limits"
TIMEOUT_S = 0.5  # a request waits for the counter, so it must not wait long
AWAY_S = 5.0  # after a failure Valkey is not asked for so long


@dataclass(frozen=True)
class Rate:
    """How a tenant stands to its limit, after a request was counted."""

    is_within: bool
    limit: int  # requests per minute
    remaining: int
    reset_s: int  # seconds until a further request fits, at least 1


class RequestRate:
    """Counts requests in a sliding window of a minute, as the library `limits` does it."""

    def __init__(self, redis_url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # The library's name for a socket has a prefix.
        url = f"redis+{redis_url}" if redis_url.startswith("unix:") else redis_url
        self._shared = SlidingWindowCounterRateLimiter(
            RedisStorage(
                url,
                key_prefix=PREFIX,
                wrap_exceptions=True,
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=TIMEOUT_S,
            )
        )
        self._alone = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._ask_at = -math.inf
        self._lock = threading.Lock()

    @property
    def is_alone(self) -> bool:
        """Whether this process counts for itself, since Valkey did not answer lately."""
        return self._ask_at > -math.inf

    def count(self, tenant: str, limit: int) -> Rate:
        """Count a request of a tenant that may send `limit` a minute, unless it is beyond."""
        if self._clock() >= self._ask_at:
            try:
                rate = _count(self._shared, tenant, limit)
            except StorageError as error:
                self._note_away(error)
            else:
                self._note_back()
                return rate
        return _count(self._alone, tenant, limit)

    def _note_away(self, error: StorageError) -> None:
        with self._lock:
            was_alone = self.is_alone
            self._ask_at = self._clock() + AWAY_S
        if not was_alone:
            reason = type(error.storage_error).__name__
            logger.warning("requests_counted_alone", extra={"reason": reason})

    def _note_back(self) -> None:
        if not self.is_alone:
            return
        with self._lock:
            was_alone, self._ask_at = self.is_alone, -math.inf
        if was_alone:
            self._alone.storage.reset()
            logger.info("requests_counted_together")


def request_rate(redis_url: str) -> RequestRate:
    """The counter of this process; a forked child makes its own."""
    return _request_rate(redis_url, os.getpid())


@lru_cache(maxsize=4)
def _request_rate(redis_url: str, pid: int) -> RequestRate:
    del pid
    return RequestRate(redis_url)


def _count(limiter: SlidingWindowCounterRateLimiter, tenant: str, limit: int) -> Rate:
    item = RateLimitItemPerMinute(limit)
    is_within = limiter.hit(item, tenant)
    stats = limiter.get_window_stats(item, tenant)
    reset_s = max(1, math.ceil(stats.reset_time - time.time()))
    return Rate(is_within, limit, max(0, stats.remaining), reset_s)
