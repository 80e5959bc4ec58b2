"""Webhooks over real Postgres, to a receiver on this machine."""

from dataclasses import replace

import pytest
from sqlalchemy import func, select, text, update

from api.current import EXTENSION
from app import create_app
from models import WebhookDelivery
from outgoing.rules import Rules
from services.api_keys import NewKey, make_key
from services.transcription import run_job
from services.webhooks.addresses import job_webhook
from services.webhooks.deliverer import Deliverer
from services.webhooks.endpoints import create_endpoint
from services.webhooks.events import EVENTS
from services.webhooks.outbox import Outbox
from services.webhooks.sending import Sender
from tests.integration.services import conftest as core
from tests.integration.services.conftest import (  # noqa: F401 - fixtures, found by their names
    dead_letters,
    model,
    published,
    session_settings,
    submit,
    worker,
)
from tests.integration.webhooks.receiver import running_receiver

OTHER = "other"
base_services = core.services


@pytest.fixture
def receiver():
    with running_receiver() as server:
        yield server


@pytest.fixture
def services(base_services, receiver):
    """May call the receiver; there are two tenants."""
    with base_services.open_session() as session:
        session.execute(text("INSERT INTO tenants (name) VALUES (:name)"), {"name": OTHER})
    return replace(base_services, outgoing=Rules(allowed=frozenset({receiver.host_and_port})))


@pytest.fixture
def outbox(services):
    """An outbox that has seen all there was; call it to write what happened since."""
    outbox = Outbox()
    outbox.fill(services)
    return lambda: outbox.fill(services)


@pytest.fixture
def endpoint(services, receiver, outbox):
    """Make an endpoint that is told everything, unless a test says otherwise."""

    def make(path="/hook", *, tenant="default", events=EVENTS):
        return create_endpoint(services, tenant, receiver.url + path, events=events)

    return make


@pytest.fixture
def own_address(services, receiver):
    """What a submission says of an address of the job's own."""

    def make(path="/own", **options):
        return job_webhook(services, receiver.url + path, **options)

    return make


@pytest.fixture
def finish(submit, worker):  # noqa: F811 - pytest's way to ask for a fixture
    """Submit a job and run it to its end."""

    def finish(**placed):
        job_id = submit(placed=placed)
        run_job(worker)
        return job_id

    return finish


@pytest.fixture
def deliver(services):
    """Send all that is due, one after the other. Returns how many were sent."""

    def deliver(send=None):
        deliverer = Deliverer(services, send or Sender(services.outgoing), draw=lambda: 0.0)
        sent = 0
        while (parcel := deliverer._claim()) is not None:
            deliverer._deliver(parcel)
            sent += 1
        return sent

    return deliver


@pytest.fixture
def messages(services):
    """The rows of all messages, in the order in which things happened."""

    def read(**which):
        with services.open_session() as session:
            query = select(WebhookDelivery).filter_by(**which)
            rows = session.scalars(query.order_by(WebhookDelivery.created_at)).all()
            session.expunge_all()
        return rows

    return read


@pytest.fixture
def let_time_pass(services):
    """Let the wait of every message be over."""

    def pass_time():
        with services.open_session() as session:
            session.execute(
                update(WebhookDelivery)
                .where(WebhookDelivery.next_attempt_at.is_not(None))
                .values(next_attempt_at=func.now())
            )

    return pass_time


@pytest.fixture(scope="module")
def shared_app(session_settings):  # noqa: F811
    return create_app(session_settings, services=object())


@pytest.fixture
def app(shared_app, services):
    # Making the specification takes a while; the services are all that differs.
    shared_app.extensions[EXTENSION] = services
    return shared_app


@pytest.fixture
def client_of(app, services):
    """A client with a key of this tenant."""

    def make(tenant="default", **wanted):
        client = app.test_client()
        key = make_key(services, NewKey(name="test", tenant=tenant, **wanted)).key
        client.environ_base["HTTP_X_API_KEY"] = key
        return client

    return make


@pytest.fixture
def client(client_of):
    return client_of()


@pytest.fixture
def stranger(client_of):
    return client_of(OTHER)


@pytest.fixture
def make(client, receiver):
    """Make an endpoint over HTTP."""

    def make(path="/hook", **given):
        answer = client.post("/webhooks/", json={"url": receiver.url + path, **given})
        assert answer.status_code == 201, answer.json
        return answer.json

    return make
