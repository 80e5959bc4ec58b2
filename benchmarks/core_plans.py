"""Reads what Postgres says of a plan: which indexes, how many rows and pages, how long."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SEQ_SCANS = frozenset({"Seq Scan", "Parallel Seq Scan", "Sample Scan"})
FEW_ROWS = 5_000  # a batch and what belongs to it: a difference below is no growth
GROWTH = 2.0
EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "
Node = Mapping[str, Any]


@dataclass(frozen=True)
class PlanFacts:
    """One statement as Postgres ran it."""

    name: str
    planning_ms: float
    ms: float  # of the execution, triggers included
    rows: int  # read from tables and indexes, those that a filter dropped too
    pages: int  # of 8 kB, found in memory or not
    indexes: Sequence[str]
    scanned: Sequence[str]  # big tables that were read from end to end

    @property
    def uses_indexes(self) -> bool:
        """Whether no big table was read from end to end."""
        return not self.scanned


def read_plan(name: str, answer: Sequence[Node], big_tables: Collection[str]) -> PlanFacts:
    """Sum up an answer of EXPLAIN in JSON."""
    root = answer[0]["Plan"]
    nodes = [*walk(root)]
    return PlanFacts(
        name=name,
        planning_ms=float(answer[0]["Planning Time"]),
        ms=float(answer[0]["Execution Time"]),
        rows=round(sum(rows_read(node) for node in nodes if is_scan(node))),
        pages=int(root.get("Shared Hit Blocks", 0) + root.get("Shared Read Blocks", 0)),
        indexes=sorted({node["Index Name"] for node in nodes if "Index Name" in node}),
        scanned=sorted(
            {
                node["Relation Name"]
                for node in nodes
                if node["Node Type"] in SEQ_SCANS and node["Relation Name"] in big_tables
            }
        ),
    )


def grown(smaller: Sequence[PlanFacts], larger: Sequence[PlanFacts]) -> list[str]:
    """Names of the statements that read more rows where there are more finished jobs."""
    before = {fact.name: fact.rows for fact in smaller}
    return [
        fact.name
        for fact in larger
        if fact.rows > max(GROWTH * before.get(fact.name, 0), FEW_ROWS + before.get(fact.name, 0))
    ]


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it, those that never ran left out."""
    if not node.get("Actual Loops", 1):
        return
    yield node
    for child in node.get("Plans", ()):
        yield from walk(child)


def is_scan(node: Node) -> bool:
    """Whether a node reads a table itself. A bitmap's rows are counted at its heap."""
    kind = str(node["Node Type"])
    return kind.endswith("Scan") and "Relation Name" in node


def rows_read(node: Node) -> float:
    """Rows that a scan looked at, in all its loops."""
    dropped = (
        node.get("Rows Removed by Filter", 0),
        node.get("Rows Removed by Index Recheck", 0),
    )
    return float((node["Actual Rows"] + sum(dropped)) * node["Actual Loops"])
