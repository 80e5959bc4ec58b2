"""What `memory` found, put into tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.processes import CHILD, MODEL_HOST, PARENT, Group, Memory

COLUMNS = ("process", "count", "RSS", "PSS", "private dirty", "shared")
BY_CONCURRENCY = (
    "state, children", "host PSS", "host private", "child PSS", "child private", "parent PSS",
    "parent private", "all PSS", "private per extra child",
)  # fmt: skip
TARGET_CHILD_MIB = 50.0

Groups = Mapping[str, Group]
States = Mapping[str, Groups]  # by state of the server


@dataclass(frozen=True)
class Worker:
    """One worker's processes, in MiB: the children's figures are means."""

    host: Memory
    parent: Memory
    child_pss_mib: float
    child_private_mib: float
    children: int
    all_pss_mib: float  # of the whole server

    @property
    def private_mib(self) -> float:
        """What parent and children hold for themselves alone, together."""
        return self.parent.private_dirty_mib + self.children * self.child_private_mib


def worker_of(groups: Groups) -> Worker:
    """A worker among all processes. Raises KeyError without a model host or a parent."""
    children = [group.memory for name, group in groups.items() if name.startswith(CHILD)]
    return Worker(
        host=groups[MODEL_HOST].memory,
        parent=groups[PARENT].memory,
        child_pss_mib=fmean(child.pss_mib for child in children),
        child_private_mib=fmean(child.private_dirty_mib for child in children),
        children=len(children),
        all_pss_mib=sum(group.memory.pss_mib for group in groups.values()),
    )


def per_extra_child(runs: Mapping[int, Groups]) -> float:
    """Private memory in MiB that a child more costs: what parent and children hold with most
    children over what they hold with fewest. With one concurrency alone, what a child holds.
    The model host is another matter: it grows with the windows that share its steps.
    """
    fewest, most = worker_of(runs[min(runs)]), worker_of(runs[max(runs)])
    if fewest.children == most.children:
        return most.child_private_mib
    return (most.private_mib - fewest.private_mib) / (most.children - fewest.children)


def process_rows(groups: Groups) -> list[tuple[str, ...]]:
    """A line per process name, and what all of them hold together."""
    total = sum((group.memory for group in groups.values()), start=Memory())
    count = sum(group.count for group in groups.values())
    # Sums of RSS and of shared pages would count pages several times.
    last = ("all", str(count), "", *_mib(total.pss_mib, total.private_dirty_mib), "")
    return [*(_process_row(name, group) for name, group in sorted(groups.items())), last]


def _process_row(name: str, group: Group) -> tuple[str, ...]:
    held = group.memory
    figures = _mib(held.rss_mib, held.pss_mib, held.private_dirty_mib, held.shared_mib)
    return (name, str(group.count), *figures)


def concurrency_rows(runs: Mapping[int, States]) -> list[tuple[str, ...]]:
    """A line per state of the server and number of children."""
    rows = []
    for state in next(iter(runs.values())):
        in_state = {concurrency: states[state] for concurrency, states in runs.items()}
        extra = per_extra_child(in_state)
        for concurrency, groups in sorted(in_state.items()):
            worker = worker_of(groups)
            figures = _mib(
                worker.host.pss_mib, worker.host.private_dirty_mib,
                worker.child_pss_mib, worker.child_private_mib,
                worker.parent.pss_mib, worker.parent.private_dirty_mib, worker.all_pss_mib,
            )  # fmt: skip
            is_last = concurrency == max(in_state)
            last = f"{extra:.1f}" if is_last else ""
            rows.append((f"{state}, {concurrency}", *figures, last))
    return rows


def _mib(*values: float) -> Sequence[str]:
    return [f"{value:.0f}" for value in values]
