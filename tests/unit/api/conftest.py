"""An application with real storage, real HTTP parsing and jobs in memory."""

from pathlib import Path

import pytest

import api.audit
import api.limits
from api.current import EXTENSION
from app import create_app
from audio.probe import AudioProbe
from config import Settings, load_settings
from domain.limits import TenantLimits
from services.context import Services
from storage.local import LocalStorage
from tests.unit.api.fake_jobs import FakeJobs

ADMIN_KEY = "0123456789abcdef"


@pytest.fixture
def settings(tmp_path):
    return load_settings(
        database_url="postgresql://nobody@127.0.0.1:1/none",
        redis_url="redis://127.0.0.1:1/0",
        auth="off",  # keys have tests of their own: test_auth.py
        admin_api_key=ADMIN_KEY,
        data_dir=tmp_path,
        max_upload_size_mb=1,
        min_free_disk_mb=0,
    )


@pytest.fixture
def services(settings):
    def no_session():
        pytest.fail("no database in unit tests")

    return Services(
        settings=settings,
        open_session=no_session,
        storage=LocalStorage(settings.storage_path, min_free_bytes=0),
        publish=lambda job_id, queue: None,
        probe=lambda path: AudioProbe(1.0, "wav", "pcm_s16le", 16_000, 1),
        queue_depths=lambda: None,
    )


@pytest.fixture
def jobs(monkeypatch):
    fake = FakeJobs()
    fake.install(monkeypatch)
    return fake


@pytest.fixture(scope="session")
def shared_app():
    return create_app(Settings(_env_file=None), services=object())


@pytest.fixture
def app(shared_app, services):
    # Making the specification takes a while; the services are all that differs.
    shared_app.extensions[EXTENSION] = services
    return shared_app


class FakeLimits:
    """The limits that hold for everybody, and the room that is left for submissions."""

    def __init__(self):
        self.now = TenantLimits()
        self.no_room = None  # what a submission is refused with

    def of(self, services, tenant):
        return self.now

    def require_room(self, services, tenant):
        if self.no_room is not None:
            raise self.no_room


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    """There are none, unless a test says so."""
    fake = FakeLimits()
    monkeypatch.setattr(api.limits, "KNOWN", fake)
    monkeypatch.setattr(api.limits, "require_room", fake.require_room)
    monkeypatch.setattr(api.limits, "is_key_known", lambda services, tenant, key: False)
    return fake


@pytest.fixture(autouse=True)
def audited(monkeypatch):
    """What the audit log was told: action and target."""
    entries = []
    monkeypatch.setattr(
        api.audit, "record_action", lambda services, principal, *said: entries.append(said[:2])
    )
    return entries


@pytest.fixture
def client(app, jobs):
    return app.test_client()


@pytest.fixture
def files_on_disk(settings):
    """Names of all files in the store, finished or not."""

    def look() -> list[Path]:
        return [path for path in settings.storage_path.rglob("*") if path.is_file()]

    return look
