"""Why a request of ours to somebody else's server did not happen, or came to nothing."""


class OutgoingError(Exception):
    """Base of both kinds. `reason` is a stable word; the message names no address and no secret."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class AddressRefused(OutgoingError):
    """Our own rules forbid it: another try cannot help.

    Reasons: `url_invalid`, `scheme_refused`, `userinfo_refused`, `host_refused`,
    `address_not_public`, `redirect_refused`, `header_refused`.
    """


class OutgoingFailed(OutgoingError):
    """The other side failed; it may be better later.

    Reasons: `name_not_found`, `connect_failed`, `connect_timeout`, `certificate_invalid`,
    `tls_failed`, `idle_timeout`, `deadline`, `connection_lost`, `protocol_error`,
    `too_many_redirects`.
    """
