"""The signatures, as the specification's own library reads them."""

import time
from uuid import uuid4

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from services.webhooks.signing import Envelope, key_of, message_id, new_secret, standard_headers

BODY = '{"type":"job.completed","data":{"name":"Gespräch über Öl"}}'.encode()


def sealed(*secrets, timestamp=None, body=BODY):
    return standard_headers(
        Envelope(
            message_id=message_id(uuid4()),
            timestamp=int(time.time()) if timestamp is None else timestamp,
            body=body,
            secrets=secrets,
        )
    )


def test_the_specifications_library_takes_a_message():
    secret = new_secret()

    found = Webhook(secret).verify(BODY, sealed(secret))

    assert found["data"]["name"] == "Gespräch über Öl"


def test_it_refuses_a_changed_body_another_secret_and_an_old_message():
    secret = new_secret()
    headers = sealed(secret)

    for body, given in [
        (BODY + b" ", headers),
        (BODY, sealed(new_secret())),
        (BODY, {**headers, "webhook-id": message_id(uuid4())}),
        (BODY, sealed(secret, timestamp=int(time.time()) - 600)),
    ]:
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, given)


def test_while_secrets_overlap_each_of_them_verifies():
    new, old = new_secret(), new_secret()
    headers = sealed(new, old)

    for secret in (new, old):
        Webhook(secret).verify(BODY, headers)

    assert len(headers["webhook-signature"].split(" ")) == 2


def test_a_secret_is_as_long_as_the_specification_asks_and_never_the_same():
    first, second = new_secret(), new_secret()

    assert first.startswith("whsec_")
    assert 24 <= len(key_of(first)) <= 64
    assert first != second


def test_an_id_has_no_full_stop_so_that_it_cannot_be_read_as_two_parts():
    assert message_id(uuid4()).replace("msg_", "").isalnum()


def test_neither_an_envelope_nor_an_error_shows_a_secret():
    secret = new_secret()

    envelope = Envelope("msg_1", 1, b"", (secret,))

    assert secret not in repr(envelope)


def test_what_is_no_secret_is_refused():
    with pytest.raises(ValueError, match="not a webhook secret"):
        key_of("whsec_ä?")
