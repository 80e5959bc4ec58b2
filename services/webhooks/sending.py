"""One request to a receiver, under the rules for addresses of others (outgoing/)."""

from collections.abc import Mapping
from time import monotonic

from outgoing.errors import OutgoingError
from outgoing.request import post
from outgoing.rules import Limits, Rules
from services.webhooks.outcome import Answer

CONNECT_S = 10.0
MAX_DIGITS = 9


class Sender:
    """Sends messages; what goes wrong is an answer, too."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def __call__(
        self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Answer:
        """Send a body, and wait at most `timeout_s` seconds in all. Redirects are not followed.

        The address is checked anew: its name may lead elsewhere by now.
        """
        start = monotonic()
        limits = Limits(min(CONNECT_S, timeout_s), timeout_s, timeout_s)
        try:
            # Of the answer's body nothing is read: nobody is shown it.
            answer = post(url, body, headers, self._rules, limits, answer_bytes=0)
        except OutgoingError as error:
            return Answer(None, error.reason, monotonic() - start)
        wait_s = _retry_after_s(answer.headers.get("retry-after", ""))
        return Answer(answer.status, None, answer.elapsed_s, retry_after_s=wait_s)


def _retry_after_s(value: str) -> float:
    """What a receiver asks for, in seconds; 0 for none, and for a date, which few send."""
    is_number = value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS
    return float(value) if is_number else 0.0
