"""Upload sessions for tests: pieces of one recording, sent header by header."""

import base64
import hashlib
import os

from sqlalchemy import func, select, update

from models import TranscriptionJob, UploadSession

TUS = {"Tus-Resumable": "1.0.0"}
PIECE = {**TUS, "Content-Type": "application/offset+octet-stream"}
AUDIO = os.urandom(100_000)
SHA256 = hashlib.sha256(AUDIO).hexdigest()


def metadata(**pairs):
    items = (f"{name} {base64.b64encode(str(v).encode()).decode()}" for name, v in pairs.items())
    return ",".join(items)


def offset_of(client, where):
    return int(client.head(where, headers=TUS).headers["Upload-Offset"])


def id_of(where):
    return where.rsplit("/", 1)[1]


def the_job(services):
    with services.open_session() as session:
        return session.scalars(select(TranscriptionJob)).one()


def set_session(services, **values):
    with services.open_session() as session:
        session.execute(update(UploadSession).values(**values))


def count(services, table):
    with services.open_session() as session:
        return session.scalar(select(func.count()).select_from(table))
