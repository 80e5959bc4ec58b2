"""One thing that an event stream says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class StreamEvent:
    """An event for the reader, or without a name only a sign of life, with or without an id.

    A reader that comes back with an `id` goes on right after it.
    """

    name: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    comment: str = ""
