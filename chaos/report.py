"""What came of it: a table for people, JSON for programs."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from chaos.checks import Check
from chaos.faults import Fault, FaultKind
from chaos.history import Ledger, Recovery, attempts_histogram, count_events, recovery

COLUMNS = ("fault", "times", "any event", "any start", "part is back", "jobs hit", "went on")
MIN_WIDTH = 110  # columns; a pipe would else get tables broken at 80


@dataclass(frozen=True)
class Outcome:
    """A whole run."""

    seed: int
    ledger: Ledger  # of the jobs under attack
    faults: Sequence[Fault]
    checks: Sequence[Check]
    wall_s: float  # from the first submission to the last result
    repeats: int  # submissions that had to be repeated
    found_again: int  # of those, accepted already: the answer alone was lost
    fenced_off: int  # attempts that found out that their lease was another's, as the logs tell
    machine: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        """Whether every promise was kept."""
        return all(check.is_ok for check in self.checks)

    @property
    def extra_jobs(self) -> int:
        """Jobs that exist because a submission whose answer was lost was repeated."""
        names = Counter(job.filename for job in self.ledger.jobs)
        return sum(count - 1 for count in names.values())

    def recoveries(self) -> list[tuple[Fault, Recovery]]:
        """Each fault with how long it took after it."""
        return [(fault, recovery(fault, self.ledger.events)) for fault in self.faults]


def show(outcome: Outcome) -> None:
    """Print both tables and every check."""
    console = Console(highlight=False)
    console.width = max(console.width, MIN_WIDTH)
    console.print(_totals(outcome))
    console.print(_recoveries(outcome))
    for check in outcome.checks:
        console.print(check.line(), style="green" if check.is_ok else "bold red", markup=False)
    console.print(outcome.machine, style="dim", soft_wrap=True, markup=False)


def totals(outcome: Outcome) -> list[tuple[str, str]]:
    """The figures of the whole run, as they are printed."""
    ledger = outcome.ledger
    starts = count_events(ledger.events, "started").total()
    histogram = attempts_histogram(ledger.events)
    completed = sum(job.status == "completed" for job in ledger.jobs)
    return [
        ("seed", str(outcome.seed)),
        (
            "jobs",
            f"{len(ledger.jobs)}, {completed} completed, {outcome.extra_jobs} submitted twice",
        ),
        ("results", str(len(ledger.results))),
        ("starts", f"{starts}, {starts - len(ledger.jobs)} more than jobs"),
        ("jobs by starts", ", ".join(f"{jobs} with {n}" for n, jobs in histogram.items())),
        ("attempts fenced off", str(outcome.fenced_off)),
        ("faults", f"{len(outcome.faults)} of {len({f.kind for f in outcome.faults})} kinds"),
        (
            "submissions repeated",
            f"{outcome.repeats}, {outcome.found_again} of them had been accepted",
        ),
        ("wall time", f"{outcome.wall_s:.0f} s"),
    ]


def by_kind(outcome: Outcome) -> dict[FaultKind, list[tuple[Fault, Recovery]]]:
    """The faults of each kind, kinds in their fixed order."""
    pairs = outcome.recoveries()
    found = {kind: [pair for pair in pairs if pair[0].kind is kind] for kind in FaultKind}
    return {kind: pairs for kind, pairs in found.items() if pairs}


def seconds(values: Sequence[float | None]) -> str:
    """Median and largest of what is known; a dash where nothing is."""
    known = [value for value in values if value is not None]
    return f"{median(known):.1f} / {max(known):.1f}" if known else "-"


def write_json(outcome: Outcome, path: Path) -> None:
    """Write everything that was measured."""
    content = {
        "seed": outcome.seed,
        "is_ok": outcome.is_ok,
        "machine": outcome.machine,
        "settings": dict(outcome.settings),
        "totals": dict(totals(outcome)),
        "checks": [{**asdict(check), "is_ok": check.is_ok} for check in outcome.checks],
        "faults": [
            {**asdict(fault), "recovery": asdict(after)} for fault, after in outcome.recoveries()
        ],
        "jobs": [job._asdict() for job in outcome.ledger.jobs],
        "events": [event._asdict() for event in outcome.ledger.events],
    }
    path.write_text(json.dumps(content, indent=1, default=str, ensure_ascii=False) + "\n")


def markdown(outcome: Outcome) -> str:
    """Both tables as they stand in docs/chaos.md."""
    figures = [f"| {name} | {value} |" for name, value in totals(outcome)]
    rows = [f"| {' | '.join(_row(kind, pairs))} |" for kind, pairs in by_kind(outcome).items()]
    head = ["| | |", "|---|---|"]
    columns = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    return "\n".join([outcome.machine, "", *head, *figures, "", *columns, *rows, ""])


def _totals(outcome: Outcome) -> Table:
    table = Table(title="chaos", title_justify="left", show_header=False)
    for row in totals(outcome):
        table.add_row(*row)
    return table


def _recoveries(outcome: Outcome) -> Table:
    table = Table(
        title="recovery in seconds, median / largest",
        title_justify="left",
        caption="any event: until any job started or completed; any start: until any job started; "
        "jobs hit: whose lease the victim held or whose message was lost; went on: until the last "
        "of them had started again",
        caption_justify="left",
    )
    for title in COLUMNS:
        table.add_column(title, justify="right" if title != "fault" else "left")
    for kind, pairs in by_kind(outcome).items():
        table.add_row(*_row(kind, pairs))
    return table


def _row(kind: FaultKind, pairs: Sequence[tuple[Fault, Recovery]]) -> tuple[str, ...]:
    return (
        kind.value,
        str(len(pairs)),
        seconds([after.work_s for _, after in pairs]),
        seconds([after.start_s for _, after in pairs]),
        seconds([fault.back_after_s for fault, _ in pairs]),
        str(sum(after.hit for _, after in pairs)),
        seconds([after.hit_s for _, after in pairs]),
    )
