"""What can go wrong for the client, as a tree. Each kind has its exit code.

ClientError                 1
+- JobNotCompleted          1   the job failed, or someone cancelled it
+- OutputNotWritten         1   the transcript is there, the disk refused it
+- InputChanged             1   the file was cut short while it was read
+- ServerUnreachable        3   no answer, for longer than --timeout
|  +- SubmitUncertain       3   the connection broke after the last byte was sent
|  +- ServerBroken          3   500 and the like, or an answer that is no answer of ours
+- RequestRefused           4   a 4xx answer (or 507), with the server's own code and message
"""

from collections.abc import Mapping
from typing import Any

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_REFUSED = 4
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

# With several files the worst news wins: a server that is gone explains all the rest.
SEVERITY = (EXIT_UNREACHABLE, EXIT_FAILED, EXIT_REFUSED)


class ClientError(Exception):
    """Base of every error the client raises on purpose."""

    exit_code = EXIT_FAILED


class JobNotCompleted(ClientError):
    """The job ended without a transcript."""


class OutputNotWritten(ClientError):
    """A transcript could not be written to its file."""


class InputChanged(ClientError):
    """The input could not be read to the length it had at the start."""


class ServerUnreachable(ClientError):
    """The server gave no usable answer within the time allowed."""

    exit_code = EXIT_UNREACHABLE


class SubmitUncertain(ServerUnreachable):
    """The whole file was sent and no answer came: the server may have accepted it."""


class ServerBroken(ServerUnreachable):
    """The server answered with a fault of its own, or with something that is no answer."""


class RequestRefused(ClientError):
    """The server refused, in its error shape {code, message, details, request_id}."""

    exit_code = EXIT_REFUSED

    def __init__(
        self,
        status: int,
        *,
        code: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details: Mapping[str, Any] = details or {}
        self.request_id = request_id

    @property
    def concerns_every_file(self) -> bool:
        """True when the next file would be refused for the same reason."""
        return self.status in (401, 403) or self.code == "option_invalid"


def worst_exit_code(codes: list[int]) -> int:
    """The exit code for a run of several files, 0 when every code is 0."""
    return next((code for code in SEVERITY if code in codes), EXIT_OK)
