"""How long an answer may be held back until something changes."""

from api.current import current_services
from domain.errors import OptionInvalid


def limit_wait(wait_s: float) -> None:
    """Raise OptionInvalid for a `wait` of more seconds than MAX_WAIT_S."""
    maximum_s = current_services().settings.max_wait_s
    if wait_s > maximum_s:
        raise OptionInvalid(
            f"wait is at most {maximum_s} seconds here", option="wait", maximum=maximum_s
        )
