"""Ids of jobs: unique, not to be guessed, and in the order of time."""

import secrets
import time
from uuid import UUID

VERSION_7 = 0x7 << 76
VARIANT = 0b10 << 62


def new_id() -> UUID:
    """A UUID of version 7 (RFC 9562, 5.7): milliseconds since 1970, then 74 random bits.

    Ids that follow the clock keep the newest rows side by side in every index that holds
    them. With random ones each insert touches pages all over a large table, and Postgres
    writes every such page to its log.
    """
    moment_ms = time.time_ns() // 1_000_000
    random = secrets.randbits(74)
    high, low = random >> 62, random & ((1 << 62) - 1)
    return UUID(int=(moment_ms << 80) | VERSION_7 | (high << 64) | VARIANT | low)
