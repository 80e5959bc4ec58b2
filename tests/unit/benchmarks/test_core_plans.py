import pytest

from benchmarks.core_plans import PlanFacts, grown, read_plan

BIG = {"transcription_jobs"}


def scan(
    kind: str, table: str, *, rows: float, loops: int = 1, **more: object
) -> dict[str, object]:
    return {
        "Node Type": kind,
        "Relation Name": table,
        "Actual Rows": rows,
        "Actual Loops": loops,
        **more,
    }


def answer(*nodes: dict[str, object], kind: str = "Nested Loop") -> list[dict[str, object]]:
    root = {
        "Node Type": kind,
        "Actual Rows": 1,
        "Actual Loops": 1,
        "Shared Hit Blocks": 3,
        "Shared Read Blocks": 4,
        "Plans": list(nodes),
    }
    return [{"Plan": root, "Planning Time": 0.5, "Execution Time": 1.5}]


def fact(name: str, rows: int) -> PlanFacts:
    return PlanFacts(name, 0.0, 0.0, rows, 0, (), ())


def test_a_scan_of_an_index_is_fine_and_its_index_is_named():
    node = scan("Index Scan", "transcription_jobs", rows=1, **{"Index Name": "ix_jobs_next"})

    found = read_plan("claim", answer(node), BIG)

    assert found.uses_indexes
    assert (found.indexes, found.pages, found.ms, found.planning_ms) == (
        ["ix_jobs_next"], 7, 1.5, 0.5,
    )  # fmt: skip


@pytest.mark.parametrize(("table", "expected"), [("transcription_jobs", False), ("turns", True)])
def test_a_big_table_must_not_be_read_whole_and_a_small_one_may(table: str, *, expected: bool):
    found = read_plan("list", answer(scan("Seq Scan", table, rows=1)), BIG)

    assert found.uses_indexes is expected


def test_a_scan_deep_inside_is_found():
    inner = scan("Seq Scan", "transcription_jobs", rows=1)
    limit = {"Node Type": "Limit", "Actual Rows": 1, "Actual Loops": 1, "Plans": [inner]}

    found = read_plan("list", answer(limit), BIG)

    assert found.scanned == ["transcription_jobs"]


def test_a_part_that_never_ran_does_not_count():
    idle = scan("Seq Scan", "transcription_jobs", rows=0, loops=0)

    found = read_plan("heartbeat", answer(idle), BIG)

    assert found.uses_indexes
    assert found.rows == 0


def test_rows_that_a_filter_drops_and_every_loop_count_as_read():
    filtered = scan("Index Scan", "a", rows=2, loops=3, **{"Rows Removed by Filter": 5})
    bitmap = {"Node Type": "Bitmap Index Scan", "Actual Rows": 90, "Actual Loops": 1}
    heap = scan("Bitmap Heap Scan", "b", rows=4, **{"Rows Removed by Index Recheck": 1})

    found = read_plan("any", answer(filtered, {**heap, "Plans": [bitmap]}), BIG)

    assert found.rows == 3 * (2 + 5) + 4 + 1


def test_what_changes_rows_is_no_scan():
    update = scan("ModifyTable", "transcription_jobs", rows=7)

    assert read_plan("claim", answer(update), BIG).rows == 0


def test_growth_is_told_from_a_batch_more_or_less():
    smaller = [fact("claim", 2), fact("batch", 100), fact("count", 6_000)]
    larger = [fact("claim", 2), fact("batch", 4_000), fact("count", 60_000), fact("new", 9_000)]

    assert grown(smaller, larger) == ["count", "new"]
