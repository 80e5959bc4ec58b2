"""Uploads in pieces, sent header by header."""

import pytest

from domain.errors import AudioUnreadable
from tests.integration.api.resumable.uploads import PIECE, TUS, metadata


@pytest.fixture
def begin(client):
    def begin(length=100_000, **said):
        headers = {**TUS, "Upload-Length": str(length), "Upload-Metadata": metadata(**said)}
        answer = client.post("/uploads", headers=headers)
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"]

    return begin


@pytest.fixture
def send(client):
    def send(where, data, offset, **headers):
        sent = {**PIECE, "Upload-Offset": str(offset)}
        return client.patch(where, data=data, headers={**sent, **headers})

    return send


@pytest.fixture
def files(services):
    root = services.storage.root
    return lambda: [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()]


@pytest.fixture
def refuse_audio(monkeypatch, services):
    def refuse(_path):
        raise AudioUnreadable("this is no audio")

    object.__setattr__(services, "probe", refuse)
