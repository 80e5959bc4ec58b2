"""Secrets and signatures of the Standard Webhooks specification, symmetric kind (`v1`)."""

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

PREFIX = "whsec_"
SECRET_BYTES = 32  # the specification asks for 24 to 64


@dataclass(frozen=True)
class Envelope:
    """One message as one attempt sends it: what signatures are made of."""

    message_id: str
    timestamp: int  # seconds since 1970, of this attempt
    body: bytes
    # `whsec_...`; more than one while a rotation overlaps
    secrets: Sequence[str] = field(repr=False)


def new_secret() -> str:
    """A secret as the specification writes it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The bytes that sign. Raises ValueError for what is no secret."""
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not a webhook secret") from error


def standard_headers(envelope: Envelope) -> dict[str, str]:
    """The three headers of the specification, with a signature by each secret."""
    signed = f"{envelope.message_id}.{envelope.timestamp}.".encode() + envelope.body
    signatures = (hmac.digest(key_of(secret), signed, "sha256") for secret in envelope.secrets)
    return {
        "webhook-id": envelope.message_id,
        "webhook-timestamp": str(envelope.timestamp),
        "webhook-signature": " ".join(
            "v1," + base64.b64encode(signature).decode() for signature in signatures
        ),
    }


def message_id(delivery_id: UUID) -> str:
    """The `webhook-id` of a message: the same for every attempt and every replay."""
    return f"msg_{delivery_id.hex}"
