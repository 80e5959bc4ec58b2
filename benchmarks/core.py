"""`core`: what the job core itself can do, beside others, with an engine that costs nothing."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from benchmarks import core_report
from benchmarks.core_contenders import PEERS, SCRIPTORIUM, Contender
from benchmarks.core_cost import Cost, measure_cost
from benchmarks.core_fill import add_finished, add_waiting, empty, remove_waiting, tidy
from benchmarks.core_plan_cases import all_cases, find_landmarks
from benchmarks.core_processes import Load
from benchmarks.core_rows import CREATE
from benchmarks.core_stack import Stack, disk_sync_ms, running_stack
from benchmarks.core_statements import observing
from benchmarks.core_turn import Turn, take_turn
from benchmarks.errors import BenchmarkFailed
from benchmarks.machine import Machine, describe_machine
from benchmarks.report import json_option, note, write_json
from benchmarks.server import scratch_folder

PLAN_SEGMENTS = 1  # of each result: a plan touches rows, and a million long ones fill the disk
KEPT_DAYS = 20  # below KEEP_FINISHED_DAYS: nothing is removed while the rate is measured
HINT = "the peers are not installed: make bench-peers"


@dataclass
class Run:
    """What was measured so far."""

    machine: Machine
    load: Load
    json_path: Path | None
    content: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, found: object) -> None:
        """Keep a part, on disk too: a long run may be cut off."""
        self.content[name] = found
        write_json(self.json_path, self.machine, {"load": asdict(self.load), **self.content})


@click.command()
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(["rate", "peers", "cost", "plans"]),
    default=("rate", "peers", "cost", "plans"),
    help="What to measure; may be repeated.",
)
@click.option("--jobs", default=2000, type=click.IntRange(1), help="Of each turn.")
@click.option("--rounds", default=5, type=click.IntRange(1), help="Turns of each.")
@click.option("--submitters", default=2, type=click.IntRange(1), help="Processes that submit.")
@click.option("--threads", default=4, type=click.IntRange(1), help="Of each submitter.")
@click.option(
    "--rows", multiple=True, type=click.IntRange(1), default=(1_000, 10_000, 100_000),
    help="Finished jobs in the table, for the rate; may be repeated.",
)  # fmt: skip
@click.option(
    "--plan-rows", multiple=True, type=click.IntRange(1), default=(100_000, 1_000_000),
    help="The same for the plans.",
)  # fmt: skip
@click.option(
    "--waiting", multiple=True, type=click.IntRange(100), default=(1_000, 100_000),
    help="Waiting jobs beside them, for the plans; may be repeated.",
)  # fmt: skip
@json_option
def core(
    parts: Sequence[str],
    jobs: int,
    rounds: int,
    submitters: int,
    threads: int,
    rows: Sequence[int],
    plan_rows: Sequence[int],
    waiting: Sequence[int],
    json_path: Path | None,
) -> None:
    """Jobs per second from submit to result, beside peers; what a job costs; every plan."""
    run = Run(describe_machine(), Load(jobs, submitters, threads), json_path)
    if "peers" in parts and find_spec("procrastinate") is None:
        raise BenchmarkFailed(HINT)
    with scratch_folder() as folder, running_stack(folder) as stack:
        run.add("versions", stack.versions())
        run.add("disk_sync_ms", disk_sync_ms(folder))
        steps: dict[str, Callable[[], None]] = {
            "rate": lambda: run_rate(run, stack, sorted(rows), rounds),
            "peers": lambda: run_peers(run, stack, min(rows), rounds),
            "cost": lambda: run_cost(run, stack, min(rows)),
            "plans": lambda: run_plans(run, stack, sorted(plan_rows), sorted(waiting)),
        }
        for part in dict.fromkeys(parts):
            steps[part]()


def run_rate(run: Run, stack: Stack, sizes: Sequence[int], rounds: int) -> None:
    """The rate with more and more finished jobs in the table, over and over."""
    found: dict[int, list[Turn]] = {size: [] for size in sizes}
    for number in range(rounds):
        for size in sizes:
            fill(stack, size)
            found[size].append(measured(stack, SCRIPTORIUM, run.load, f"{size} rows", number))
            run.add("rate", {size: [described(turn) for turn in of] for size, of in found.items()})
    core_report.show_rate(found, run.machine)


def run_peers(run: Run, stack: Stack, size: int, rounds: int) -> None:
    """Run this server and its peers in turns; who begins moves on with each round."""
    make_peer_tables(stack)
    contenders = [SCRIPTORIUM, *PEERS]
    found: dict[str, list[Turn]] = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        first = number % len(contenders)
        for contender in contenders[first:] + contenders[:first]:
            fill(stack, size)
            found[contender.name].append(
                measured(stack, contender, run.load, contender.name, number)
            )
            run.add("peers", {name: [described(t) for t in of] for name, of in found.items()})
    core_report.show_peers(found, run.machine)


def run_cost(run: Run, stack: Stack, size: int) -> None:
    """Statements, round trips and commits of one job."""
    fill(stack, size)
    costs: list[Cost] = measure_cost(stack, run.load)
    run.add("cost", [asdict(cost) for cost in costs])
    core_report.show_cost(costs, run.machine)


def run_plans(run: Run, stack: Stack, sizes: Sequence[int], waiting: Sequence[int]) -> None:
    """Every plan at every size. Raises BenchmarkFailed where a big table is read whole."""
    found = {}
    for size in sizes:
        note(f"filling in {size} finished jobs")
        empty(stack)
        add_finished(stack, 1, size, total=size, segments=PLAN_SEGMENTS)
        for line in waiting:
            remove_waiting(stack)
            add_waiting(stack, size + 1, size + line)
            tidy(stack)
            with observing(stack) as observer:
                cases = all_cases(observer, find_landmarks(stack, size, line))
                facts = [fact for name in cases for fact in observer.explain(name, cases[name])]
            found[size, line] = facts
            run.add(
                "plans",
                [
                    {"finished": of[0], "waiting": of[1], "plans": [asdict(fact) for fact in each]}
                    for of, each in found.items()
                ],
            )
    core_report.show_plans(found, run.machine)
    core_report.show_growth(found)
    bad = sorted({fact.name for facts in found.values() for fact in facts if not fact.uses_indexes})
    if bad:
        raise BenchmarkFailed(f"read a big table from end to end: {', '.join(bad)}")


def fill(stack: Stack, size: int) -> None:
    """Have that many finished jobs in the tables and nothing else, none of them to be removed."""
    empty(stack)
    add_finished(stack, 1, size, total=size, days=KEPT_DAYS)
    tidy(stack)


def measured(stack: Stack, contender: Contender, load: Load, name: str, number: int) -> Turn:
    """One turn, and a word about it."""
    turn = take_turn(stack, contender, load)
    note(f"round {number + 1}, {name}: {turn.rate:.0f} jobs per second")
    return turn


def described(turn: Turn) -> dict[str, Any]:
    """A turn for programs to read."""
    return {**asdict(turn), "rate": turn.rate, "cpu_ms_per_job": turn.cpu_ms}


def make_peer_tables(stack: Stack) -> None:
    """The table of the peers' task, and procrastinate's own."""
    # Late: the package is here only when somebody asked for the peers.
    from procrastinate.schema import SchemaManager

    stack.execute(CREATE, SchemaManager.get_schema())
