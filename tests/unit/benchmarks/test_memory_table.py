import click
import pytest

from benchmarks.memory_table import concurrency_rows, per_extra_child, process_rows
from benchmarks.number_list import NumberList
from benchmarks.processes import Group, Memory


def held(private_mib: float, *, pss_mib: float = 0.0) -> Group:
    return Group(1, Memory(rss_mib=900, pss_mib=pss_mib, private_dirty_mib=private_mib))


def server(*children: float, host: float = 300.0, parent: float = 20.0) -> dict[str, Group]:
    """Private memory of a worker's processes in MiB, beside a web process that counts for none."""
    named = {f"worker child {n}": held(mib) for n, mib in enumerate(children, start=1)}
    return {"model host": held(host), "worker parent": held(parent), "web": held(77), **named}


def test_an_extra_child_costs_what_parent_and_children_hold_more():
    runs = {1: server(40.0), 3: server(40.0, 44.0, 45.0, parent=16.0, host=900.0)}

    assert per_extra_child(runs) == pytest.approx(42.5)


def test_of_one_concurrency_alone_a_child_costs_what_it_holds():
    assert per_extra_child({2: server(40.0, 60.0)}) == pytest.approx(50.0)


def test_the_cost_of_a_child_stands_once_per_state():
    runs = {1: {"idle": server(40.0)}, 2: {"idle": server(40.0, 46.0)}}

    rows = concurrency_rows(runs)

    assert [(row[0], row[2], row[-1]) for row in rows] == [
        ("idle, 1", "300", ""),
        ("idle, 2", "300", "46.0"),
    ]


def test_all_processes_are_added_up_by_what_is_theirs():
    groups = {"web": held(10, pss_mib=20), "model host": held(300, pss_mib=310)}

    rows = process_rows(groups)

    assert [row[0] for row in rows] == ["model host", "web", "all"]
    assert rows[-1] == ("all", "2", "", "330", "310", "")


@pytest.mark.parametrize(("text", "numbers"), [("8,1,2", [1, 2, 8]), ("3", [3]), ("2,2", [2])])
def test_a_list_of_numbers_is_read(text: str, numbers: list[int]):
    assert NumberList().convert(text, None, None) == numbers


@pytest.mark.parametrize("text", ["", "0", "1,", "one", "-1"])
def test_what_is_no_list_of_numbers_is_refused(text: str):
    with pytest.raises(click.BadParameter):
        NumberList().convert(text, None, None)
