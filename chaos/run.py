"""A whole run: a server on a folder of its own, an undisturbed pass, the attack, the verdict."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.server import (
    RunningServer,
    running_server,
    scratch_folder,
    server_environment,
)
from chaos.attack import Attack
from chaos.awaiting import await_value
from chaos.checks import check_all
from chaos.errors import ChaosFailed
from chaos.faults import plan_faults
from chaos.feeder import Feeder, Submission, plan_submissions
from chaos.history import is_over, texts_of
from chaos.lanes import bars_of, lanes_of
from chaos.recordings import Cut, plan_cuts, sample_durations, write_cuts
from chaos.report import Outcome
from chaos.rows import UNDISTURBED, Database
from chaos.target import Target
from chaos.timeline import Picture
from config import Settings, load_settings
from embedded.credentials import load_credentials
from embedded.postgres import postgres_url
from embedded.process import spawn
from embedded.stack import ports_path
from embedded.valkey import valkey_url

MODEL = "tiny"
WORKERS = 2
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 60.0
CALM_TIMEOUT_S = 300.0
SERVER_LOG = "bench.log"  # as benchmarks/server.py names it
SECOND_LOG = "second.log"
SETTINGS = {
    # Faults are found in seconds here and not in half a minute.
    "HEARTBEAT_S": "0.5",
    "LEASE_S": "4",
    "REAP_INTERVAL_S": "0.5",
    "RETRY_BASE_S": "0.5",
    "RETRY_CAP_S": "2",
    "REDISPATCH_AFTER_S": "3",
    "MAX_ATTEMPTS": "10",
    "SHUTDOWN_GRACE_S": "10",
    "TORCH_THREADS": "1",
    "FLOWER_PORT": "0",
    "WORKERS": str(WORKERS),
}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How much of an attack, and from which seed."""

    seed: int
    jobs: int
    faults: int
    recordings: int
    children: int  # of each worker


@dataclass(frozen=True)
class Finished:
    """What came of a run, and its picture."""

    outcome: Outcome
    picture: Picture


def run(plan: Plan, out: Path, say: Say) -> Finished:
    """Attack a server of our own; its logs are left in `out`. Raises ChaosFailed."""
    with scratch_folder() as folder:
        cuts = plan_cuts(plan.seed, plan.recordings, sample_durations())
        (folder / "cuts").mkdir()
        paths = write_cuts(cuts, folder / "cuts")
        try:
            say(f"seed {plan.seed}: starting the server")
            with running_target(folder, plan.children) as target:
                return _attack(plan, target, cuts, paths, lambda: _count_fenced(folder), say)
        finally:
            for name in (SERVER_LOG, SECOND_LOG):
                if (folder / name).exists():
                    shutil.copy(folder / name, out / name)


@contextmanager
def running_target(folder: Path, children: int) -> Iterator[Target]:
    """A server with two workers and two reconcilers, all of them ready."""
    with running_server(
        folder, model_size=MODEL, concurrency=children, settings=SETTINGS
    ) as server:
        settings = _settings_of(folder, server, children)
        with _second(folder, settings) as second_pid:
            database = Database(settings.database_url)
            target = Target(server.url, settings, (server.launcher_pid, second_pid), database)
            await_value(lambda: _is_complete(target), START_TIMEOUT_S, "two workers")
            yield target


def _attack(
    plan: Plan,
    target: Target,
    cuts: list[Cut],
    paths: Mapping[str, Path],
    count_fenced: Callable[[], int],
    say: Say,
) -> Finished:
    expected = _undisturbed(plan, target, cuts, paths)
    say(f"{len(expected)} recordings transcribed undisturbed; the attack begins")
    feeder = Feeder(target.url, target.key, plan_submissions(plan.seed, cuts, paths), plan.seed)
    feeder.start()
    try:
        attack = Attack(target, feeder, plan.seed, say)
        faults = attack.run(plan_faults(plan.seed, plan.faults), plan.jobs)
    finally:
        feeder.stop()
    ledger = target.database.ledger()
    accepted = frozenset(feeder.accepted.values())
    times = [event.at for event in ledger.events]
    outcome = Outcome(
        seed=plan.seed,
        ledger=ledger,
        faults=faults,
        checks=check_all(ledger, accepted=accepted, expected_texts=expected, faults=faults),
        wall_s=max(times) - min(times),
        repeats=feeder.repeats,
        found_again=feeder.found_again,
        fenced_off=count_fenced(),
        machine=describe_machine().line(),
        settings={**SETTINGS, "CELERY_CONCURRENCY": str(plan.children)},
    )
    return Finished(outcome, picture_of(outcome, target.slots))


def picture_of(outcome: Outcome, slots: Mapping[int, int]) -> Picture:
    """The timeline of a run."""
    ledger, faults = outcome.ledger, outcome.faults
    start, end = min(e.at for e in ledger.events), max(e.at for e in ledger.events)
    bars = bars_of(ledger.events_by_job().values(), faults, end)
    title = f"{len(ledger.jobs)} jobs, {len(faults)} faults, seed {outcome.seed}: " + (
        "every job completed once" if outcome.is_ok else "a promise was broken"
    )
    return Picture(title, lanes_of(bars, slots), faults, start, end)


def _undisturbed(
    plan: Plan, target: Target, cuts: Sequence[Cut], paths: Mapping[str, Path]
) -> dict[str, str]:
    """The transcript of each recording, before anything is hurt."""
    submissions = (Submission(f"{cut.name}.wav", paths[cut.name], "normal") for cut in cuts)
    feeder = Feeder(target.url, target.key, submissions, plan.seed)
    feeder.start()
    feeder.release(len(cuts))
    await_value(
        lambda: feeder.is_idle and is_over(target.database.statuses()),
        CALM_TIMEOUT_S,
        "the undisturbed run",
    )
    feeder.stop()
    texts = texts_of(target.database.ledger(UNDISTURBED))
    if len(texts) < len(cuts):
        raise ChaosFailed(
            f"{len(cuts) - len(texts)} of {len(cuts)} recordings could not be transcribed even "
            "before the attack: see the server's log"
        )
    return texts


def _is_complete(target: Target) -> bool:
    workers = target.workers()
    return (
        len(workers) == WORKERS
        and all(target.is_worker_ready(worker) for worker in workers)
        and len(target.reconcilers()) > 1
    )


def _settings_of(folder: Path, server: RunningServer, children: int) -> Settings:
    """The settings as the server's own processes have them."""
    credentials = load_credentials(folder)
    ports = json.loads(ports_path(folder).read_text())
    return load_settings(
        data_dir=folder,
        database_url=postgres_url(ports["postgres"], credentials.postgres_password),
        redis_url=valkey_url(ports["valkey"], credentials.valkey_password),
        admin_api_key=server.admin_key,
        celery_worker_concurrency=children,
    )


@contextmanager
def _second(folder: Path, settings: Settings) -> Iterator[int]:
    """A second reconciler; the process id of what keeps it running."""
    own = {
        **SETTINGS,
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "ADMIN_API_KEY": settings.admin_api_key,
    }
    environment = server_environment(folder, MODEL, settings.celery_worker_concurrency, own)
    with (folder / SECOND_LOG).open("wb") as log:
        process = spawn(
            (sys.executable, "-m", "chaos.second"),
            environment=environment,
            output=log,
            death_signal=signal.SIGTERM,  # asked, not killed: it stops what it started
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _count_fenced(folder: Path) -> int:
    """How many attempts were told that they no longer hold their job, as the logs tell."""
    logs = (folder / name for name in (SERVER_LOG, SECOND_LOG))
    return sum(path.read_text(errors="replace").count("job_fenced") for path in logs)
