"""Tables of what `core` measured."""

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.core_contenders import CELERY_ALIKE, CELERY_DEFAULT
from benchmarks.core_cost import Cost, is_frame
from benchmarks.core_plans import PlanFacts, grown
from benchmarks.core_turn import Turn
from benchmarks.machine import Machine
from benchmarks.report import show_table

TARGET_SHARE = 0.6
RATE_COLUMNS = ("finished jobs in the table", "turns", "jobs/s", "lowest", "highest", "of first")
COST_COLUMNS = ("side", "statements", "round trips", "commits", "WAL syncs", "WAL kB",
                "Postgres ms")  # fmt: skip
DETAIL_COLUMNS = ("statement", "side", "per job", "ms")
DETAIL_MIN_CALLS = 0.05  # per job: what comes more rarely belongs to no job
PEER_COLUMNS = ("", "turns", "jobs/s", "lowest", "highest", "of default", "of ours", "submits/s")
CPU_COLUMNS = ("processor ms per job", "submit", "parent", "children", "reconciler", "Postgres",
               "Valkey", "all")  # fmt: skip
CPU_PARTS = ("submitters", "worker parent", "worker children", "reconciler", "postgres", "valkey")
PLAN_COLUMNS = ("statement", "plan ms", "run ms", "rows", "pages", "indexes")


def show_rate(found: Mapping[int, Sequence[Turn]], machine: Machine) -> None:
    """Print the rate by the number of finished jobs, and where the time goes."""
    first = median_rate(next(iter(found.values())))
    rows = [
        (f"{size:,}", *rate_cells(turns), f"{median_rate(turns) / first:.2f}")
        for size, turns in found.items()
    ]
    show_table("This server: jobs from submission to result", RATE_COLUMNS, rows, machine)
    by_name = {f"{size:,}": turns for size, turns in found.items()}
    show_table("Where the time goes", CPU_COLUMNS, cpu_rows(by_name), machine)


def show_peers(found: Mapping[str, Sequence[Turn]], machine: Machine) -> None:
    """Print the rates side by side and their ratios to both kinds of plain Celery."""
    default, alike = (median_rate(found[peer.name]) for peer in (CELERY_DEFAULT, CELERY_ALIKE))
    rows = [
        (
            name,
            *rate_cells(turns),
            f"{median_rate(turns) / default:.2f}",
            f"{median_rate(turns) / alike:.2f}",
            f"{median(turn.jobs / turn.submit_s for turn in turns):.0f}",
        )
        for name, turns in found.items()
    ]
    title = f"Beside peers that insert one row (wanted: at least {TARGET_SHARE} of Celery)"
    show_table(title, PEER_COLUMNS, rows, machine)
    show_table("Where the time goes", CPU_COLUMNS, cpu_rows(found), machine)


def show_cost(costs: Sequence[Cost], machine: Machine) -> None:
    """Print what a job costs the database, in all and by statement."""
    rows = [
        (
            cost.side,
            *(f"{value:.2f}" for value in (cost.statements, cost.round_trips)),
            *(f"{value:.2f}" for value in (cost.commits, cost.disk_syncs)),
            *(f"{value:.2f}" for value in (cost.wal_kb, cost.postgres_ms)),
        )
        for cost in costs
    ]
    show_table("One job in the database", COST_COLUMNS, rows, machine)
    details = [
        (f"({line.text})" if is_frame(line.text) else line.text, cost.side, f"{line.calls:.2f}",
         f"{line.ms:.3f}")
        for cost in costs
        for line in cost.details
        if line.calls >= DETAIL_MIN_CALLS
    ]  # fmt: skip
    show_table("Its statements; in brackets what the driver adds", DETAIL_COLUMNS, details, machine)


def show_plans(found: Mapping[tuple[int, int], Sequence[PlanFacts]], machine: Machine) -> None:
    """Print each plan at each size of the tables."""
    for (finished, waiting), facts in found.items():
        rows = [
            (
                fact.name,
                f"{fact.planning_ms:.2f}",
                f"{fact.ms:.2f}",
                f"{fact.rows:,}",
                f"{fact.pages:,}",
                f"ALL OF {', '.join(fact.scanned)}" if fact.scanned else indexes_of(fact),
            )
            for fact in facts
        ]
        title = f"Plans with {finished:,} finished jobs and {waiting:,} waiting"
        show_table(title, PLAN_COLUMNS, rows, machine)


def indexes_of(fact: PlanFacts) -> str:
    """The names of a plan's indexes, short."""
    return " ".join(name.removeprefix("transcription_") for name in fact.indexes)


def show_growth(found: Mapping[tuple[int, int], Sequence[PlanFacts]]) -> None:
    """Print which statements read more where more jobs are finished, with the line as long."""
    for waiting in sorted({waiting for _, waiting in found}):
        sizes = sorted(finished for finished, line in found if line == waiting)
        names = grown(found[sizes[0], waiting], found[sizes[-1], waiting])
        print(
            f"Read more rows with {sizes[-1]:,} finished jobs than with {sizes[0]:,}, "
            f"{waiting:,} waiting: {', '.join(names) or 'none'}"
        )


def median_rate(turns: Sequence[Turn]) -> float:
    """Jobs per second of the turn in the middle."""
    return median(turn.rate for turn in turns)


def rate_cells(turns: Sequence[Turn]) -> tuple[str, ...]:
    """How many turns; their median, lowest and highest rate."""
    rates = [turn.rate for turn in turns]
    return (str(len(rates)), *(f"{rate:.0f}" for rate in (median(rates), min(rates), max(rates))))


def cpu_rows(found: Mapping[str, Sequence[Turn]]) -> list[tuple[str, ...]]:
    """Processor milliseconds of a job by part: the median of the turns."""
    rows = []
    for name, turns in found.items():
        parts = [median(turn.cpu_ms.get(part, 0.0) for turn in turns) for part in CPU_PARTS]
        rows.append((name, *(f"{value:.2f}" for value in (*parts, sum(parts)))))
    return rows
