"""How each kind of fault is done. A way returns None while there is nothing worth hitting."""

import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import psutil

from chaos.awaiting import wait_for
from chaos.faults import FaultKind
from chaos.lanes import pids_of
from chaos.target import Target

SETTLE_S = 0.2  # for a statement that the victim had sent before it was hit
THAW_TIMEOUT_S = 60.0  # whoever is not recovered by then, the checks name
MAX_FROZEN_S = 10.0  # more than twice the lease
MIN_WAITING = 2  # jobs, so that there is something to lose
MIN_RECONCILERS = 2  # one to kill, one to take over


@dataclass(frozen=True)
class Blow:
    """A fault that was done."""

    at: float  # seconds since the epoch
    slot: int | None = None
    hit: tuple[UUID, ...] = ()
    killed: tuple[int, ...] = ()
    thawed_at: float | None = None
    note: str = ""
    is_back: Callable[[], bool] | None = None  # whether the part that was hit works again


Way = Callable[[Target, random.Random], Blow | None]


def kill_worker(target: Target, draw: random.Random) -> Blow | None:
    """Kill a worker that has a job, and with it its children."""
    worker = _busy_worker(target, draw)
    if worker is None:
        return None
    slot = target.slots[worker.pid]
    pids = (worker.pid, *(child.pid for child in target.children(worker)))
    at = time.time()
    worker.kill()
    return Blow(
        at,
        slot=slot,
        hit=_settled(target, worker.pid),
        killed=pids,
        is_back=lambda: target.is_worker_ready(target.worker_in(slot)),
    )


def kill_child(target: Target, draw: random.Random) -> Blow | None:
    """Kill a prefork child that holds a lease."""
    worker = _busy_worker(target, draw)
    if worker is None:
        return None
    busy = {pids_of(owner)[1] for owner in target.database.leases().values()}
    children = [child for child in worker.children() if child.pid in busy]
    if not children:
        return None
    child, slot = draw.choice(children), target.slots[worker.pid]
    at = time.time()
    child.kill()
    return Blow(
        at,
        slot=slot,
        hit=_settled(target, child.pid),
        killed=(child.pid,),
        is_back=lambda: target.is_worker_ready(target.worker_in(slot)),
    )


def kill_host(target: Target, _draw: random.Random) -> Blow | None:
    """Kill the process that holds the models, while it decodes for somebody."""
    host = target.model_host()
    if host is None or not target.database.advanced():
        return None
    held = target.database.leases()
    at = time.time()
    host.kill()
    time.sleep(SETTLE_S)  # a job that needed the host no more ends just now, and was not hit
    hit = tuple(held.keys() & set(target.database.unfinished()))
    return Blow(at, hit=hit, killed=(host.pid,), is_back=target.is_model_host_up)


def kill_leader(target: Target, _draw: random.Random) -> Blow | None:
    """Kill the reconciler that leads, once another one could."""
    leader = target.leader()
    if leader is None or len(target.reconcilers()) < MIN_RECONCILERS:
        return None
    at = time.time()
    leader.kill()

    def is_back() -> bool:
        successor = target.leader()
        return successor is not None and successor.pid != leader.pid

    return Blow(at, killed=(leader.pid,), is_back=is_back)


def kill_api(target: Target, _draw: random.Random) -> Blow | None:
    """Kill gunicorn's master and its workers."""
    processes = target.api()
    if not processes:
        return None
    at = time.time()
    for process in processes:
        _kill(process)
    pids = tuple(process.pid for process in processes)
    return Blow(at, killed=pids, is_back=target.is_api_ready)


def flush(target: Target, _draw: random.Random) -> Blow | None:
    """Forget every message, and all else that the broker knows."""
    lost = target.messages()
    if not lost or len(target.database.waiting()) < MIN_WAITING:
        return None
    at = time.time()
    with target.broker() as broker:
        broker.flushall()
    return Blow(at, hit=_waiting(target), note=f"{counted(lost, 'message')} lost")


def kill_broker(target: Target, _draw: random.Random) -> Blow | None:
    """Kill the broker; it starts again from its file."""
    return _kill_broker(target, drops_file=False)


def kill_and_empty_broker(target: Target, _draw: random.Random) -> Blow | None:
    """Kill the broker and take its file away; it starts empty."""
    return _kill_broker(target, drops_file=True)


def restart_database(target: Target, _draw: random.Random) -> Blow | None:
    """Have Postgres stop at once, as for `pg_ctl stop -m immediate`; it recovers at its start."""
    postmaster = target.postmaster()
    if postmaster is None or not target.database.leases():
        return None
    at = time.time()
    postmaster.send_signal(signal.SIGQUIT)

    def is_back() -> bool:
        return not postmaster.is_running() and target.database.answers()

    return Blow(at, is_back=is_back)


def freeze_worker(target: Target, draw: random.Random) -> Blow | None:
    """Stop a busy worker with its children, and wake it once one of its jobs runs elsewhere.

    Its job had come far by then, so that it is done before the second attempt: only the fence
    keeps that result out. Where it takes long, since jobs that never ran go first, the worker
    wakes while its jobs wait.
    """
    worker = _busy_worker(target, draw)
    if worker is None or not target.database.advanced() & _held_by(target, worker.pid):
        return None
    slot = target.slots[worker.pid]
    processes = [worker, *target.children(worker)]
    at = time.time()
    try:
        for process in processes:
            process.suspend()
        hit = _settled(target, worker.pid)
        if not hit:
            return None
        wait_for(lambda: _is_time_to_thaw(target, hit, at), THAW_TIMEOUT_S)
    finally:
        for process in processes:
            _resume(process)
    return Blow(at, slot=slot, hit=hit, thawed_at=time.time())


def ring_twice(target: Target, _draw: random.Random) -> Blow | None:
    """Copy every message that waits, and ring again for every unfinished job."""
    unfinished = target.database.unfinished()
    if not target.messages() or not unfinished:
        return None
    at = time.time()
    copied = target.copy_messages()
    target.ring(unfinished)
    return Blow(
        at, note=f"{counted(copied, 'message')} copied, {counted(len(unfinished), 'job')} rung for"
    )


WAYS: Mapping[FaultKind, Way] = {
    FaultKind.WORKER: kill_worker,
    FaultKind.CHILD: kill_child,
    FaultKind.HOST: kill_host,
    FaultKind.RECONCILER: kill_leader,
    FaultKind.API: kill_api,
    FaultKind.FLUSH: flush,
    FaultKind.BROKER: kill_broker,
    FaultKind.BROKER_EMPTY: kill_and_empty_broker,
    FaultKind.DATABASE: restart_database,
    FaultKind.FREEZE: freeze_worker,
    FaultKind.TWICE: ring_twice,
}


def counted(number: int, noun: str) -> str:
    """`1 message`, `2 messages`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _kill_broker(target: Target, *, drops_file: bool) -> Blow | None:
    valkey = target.valkey()
    if valkey is None or len(target.database.waiting()) < MIN_WAITING:
        return None
    messages = target.messages()
    at = time.time()
    if drops_file:
        target.drop_broker_file()
    valkey.kill()
    note = f"{counted(messages, 'message')} {'lost' if drops_file else 'in its file'}"
    return Blow(
        at, hit=_waiting(target), killed=(valkey.pid,), note=note, is_back=target.is_broker_up
    )


def _busy_worker(target: Target, draw: random.Random) -> psutil.Process | None:
    owners = {pids_of(owner)[0] for owner in target.database.leases().values()}
    busy = [worker for worker in target.workers() if worker.pid in owners]
    return draw.choice(sorted(busy, key=lambda worker: target.slots[worker.pid])) if busy else None


def _settled(target: Target, pid: int) -> tuple[UUID, ...]:
    """Jobs that a process or its child held when it was hit, and did not end just then."""
    time.sleep(SETTLE_S)
    return tuple(_held_by(target, pid))


def _held_by(target: Target, pid: int) -> set[UUID]:
    leases = target.database.leases()
    return {job_id for job_id, owner in leases.items() if pid in pids_of(owner)}


def _waiting(target: Target) -> tuple[UUID, ...]:
    """Jobs that wait for a message which the broker had, now that it was hit."""
    return tuple(target.database.waiting())


def _is_time_to_thaw(target: Target, job_ids: Sequence[UUID], at: float) -> bool:
    events = [event for event in target.database.events_after(at) if event.job_id in job_ids]
    reaped = {event.job_id for event in events if event.event == "reaped"}
    is_late = time.time() > at + MAX_FROZEN_S and reaped == set(job_ids)
    return is_late or any(event.event == "started" for event in events)


def _resume(process: psutil.Process) -> None:
    try:
        process.resume()
    except psutil.NoSuchProcess:
        return  # somebody ended it while it was frozen


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return  # it went with its parent
