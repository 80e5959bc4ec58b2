"""The parent's side of a killed child. That Celery calls it is for the acceptance tests."""

import os
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from domain.lifecycle import JobStatus, Rank
from models import TranscriptionJob
from services import lifecycle, sweeps
from services.lost_children import expire_lost_leases
from tests.integration.embedded.waiting import wait_until

Job = TranscriptionJob
MINE = f"{socket.gethostname()}:{os.getpid()}"


@pytest.fixture
def spawn():
    """A child of this process that lives until it is killed."""
    children = []

    def spawn():
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        children.append(child)
        return child

    yield spawn
    for child in children:
        child.kill()
        child.communicate()


@pytest.fixture
def lease(services, submit):
    """A job in the hands of this owner for a minute; returns its id."""

    def lease(owner):
        job_id = submit()
        with services.open_statement() as session:
            claim = lifecycle.claim_next(
                session, Rank.RETRY, worker=owner, lease=timedelta(seconds=60)
            )
        assert claim.job_id == job_id
        return job_id

    return lease


@pytest.fixture
def expired(services):
    """Ids of the jobs whose leases have run out."""

    def expired():
        with services.open_session() as session:
            query = select(Job.id).where(
                Job.status == JobStatus.PROCESSING, Job.lease_expires_at <= func.now()
            )
            return set(session.scalars(query))

    return expired


def end(child):
    child.kill()
    child.wait()


def test_the_lease_of_a_dead_child_ends_and_the_reaper_takes_its_job(
    services, spawn, lease, expired
):
    child = spawn()
    job_id = lease(f"{MINE}/{child.pid}")
    end(child)

    expire_lost_leases(services.settings.sqlalchemy_url)

    assert expired() == {job_id}
    assert sweeps.reap_expired(services) == 1


def test_a_child_that_is_dead_but_not_yet_waited_for_counts_as_dead(
    services, spawn, lease, expired
):
    child = spawn()
    job_id = lease(f"{MINE}/{child.pid}")
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    expire_lost_leases(services.settings.sqlalchemy_url)

    assert expired() == {job_id}


def test_the_leases_of_the_living_and_of_other_workers_stay(services, spawn, lease, expired):
    dead, living = spawn(), spawn()
    end(dead)
    lease(f"{MINE}/{living.pid}")
    lease(f"{MINE}0/{dead.pid}")
    lease(f"elsewhere:{os.getpid()}/{dead.pid}")

    expire_lost_leases(services.settings.sqlalchemy_url)

    assert expired() == set()


def test_a_number_that_now_belongs_to_another_process_does_not_keep_the_lease(
    services, lease, expired
):
    job_id = lease(f"{MINE}/{os.getppid()}")

    expire_lost_leases(services.settings.sqlalchemy_url)

    assert expired() == {job_id}


def test_no_connection_is_left_for_the_next_child_to_inherit(services, spawn, lease):
    child = spawn()
    lease(f"{MINE}/{child.pid}")
    end(child)
    before = sockets()

    expire_lost_leases(services.settings.sqlalchemy_url)

    wait_until(lambda: sockets() <= before)


def test_a_database_that_is_away_is_left_to_the_lease(services, caplog):
    expire_lost_leases("postgresql+psycopg2://nobody@127.0.0.1:1/none")

    assert [record.message for record in caplog.records] == ["lost_child_not_reported"]


def sockets():
    """The sockets that this process has open."""
    return {target for fd in Path("/proc/self/fd").iterdir() if "socket:" in (target := kind(fd))}


def kind(descriptor):
    try:
        return str(descriptor.readlink())
    except FileNotFoundError:  # that of the listing itself
        return ""
