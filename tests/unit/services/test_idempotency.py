from dataclasses import replace

import pytest

from domain.lifecycle import Priority
from domain.options import TranscriptionOptions
from domain.submission import Submission
from services.idempotency import once_of
from storage.base import StoredFile

STORED = StoredFile("a/key", 9, "ab" * 32)
OPTIONS = TranscriptionOptions("base")
SUBMISSION = Submission(idempotency_key="order-17", filename="talk.wav", labels={"a": 1})


def fingerprint(stored=STORED, options=OPTIONS, submission=SUBMISSION):
    return once_of(stored, options, submission).fingerprint


def test_without_a_key_nothing_is_remembered():
    assert once_of(STORED, OPTIONS, replace(SUBMISSION, idempotency_key=None)) is None


def test_the_same_upload_has_the_same_fingerprint_under_another_key_of_the_store():
    again = replace(
        SUBMISSION, request_id="another", client="another", labels=dict(SUBMISSION.labels)
    )

    assert fingerprint(replace(STORED, key="another/key"), submission=again) == fingerprint()


@pytest.mark.parametrize(
    "changed",
    [
        {"stored": replace(STORED, sha256="cd" * 32)},
        {"options": replace(OPTIONS, language="de")},
        {"submission": replace(SUBMISSION, priority=Priority.HIGH)},
        {"submission": replace(SUBMISSION, labels={"a": 2})},
        {"submission": replace(SUBMISSION, webhook={"url": "https://example.org"})},
        {"submission": replace(SUBMISSION, door_fields={"response_format": "srt"})},
        {"submission": replace(SUBMISSION, fingerprint="of what else was asked")},
    ],
)
def test_whatever_was_asked_differently_changes_the_fingerprint(changed):
    assert fingerprint(**changed) != fingerprint()
