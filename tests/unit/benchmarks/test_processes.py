import os

import pytest

from benchmarks.processes import (
    Group,
    Memory,
    cpu_seconds,
    highest_of,
    measure_memory,
    parse_rollup,
    service_name,
)

ROLLUP = """\
55af4eed3000-7ffd3a9d6000 ---p 00000000 00:00 0                          [rollup]
Rss:                4096 kB
Pss:                2048 kB
Pss_Dirty:           148 kB
Shared_Clean:       1536 kB
Shared_Dirty:        512 kB
Private_Clean:         0 kB
Private_Dirty:      1024 kB
"""


def test_the_kernels_figures_are_read_in_mib():
    memory = parse_rollup(ROLLUP)

    assert memory == Memory(rss_mib=4, pss_mib=2, private_dirty_mib=1, shared_mib=2)


def test_a_figure_that_is_missing_is_no_zero():
    with pytest.raises(KeyError):
        parse_rollup("Rss:  4096 kB\n")


@pytest.mark.parametrize(
    ("command_line", "name"),
    [
        ("/x/postgres -D /tmp/data", "postgres"),
        ("/x/valkey-server 127.0.0.1:20000", "valkey"),
        ("python -m gunicorn -c deploy/gunicorn.conf.py app:create_app()", "web"),
        ("python worker.py reconciler", "reconciler"),
        ("python worker.py worker", "worker"),
        ("python -m celery -A celery_app flower --port=1", "flower"),
        ("stranger --flag", "stranger"),
        ("", "ended"),
    ],
)
def test_a_service_is_known_by_its_command_line(command_line: str, name: str):
    assert service_name(command_line) == name


def test_the_highest_of_each_figure_is_kept():
    early = {"web": Group(2, Memory(rss_mib=5, pss_mib=1))}
    late = {"web": Group(3, Memory(rss_mib=4, pss_mib=2)), "ffmpeg": Group(1, Memory(rss_mib=7))}

    highest = highest_of([early, late])

    assert highest == {
        "web": Group(3, Memory(rss_mib=5, pss_mib=2)),
        "ffmpeg": Group(1, Memory(rss_mib=7)),
    }


def test_this_process_can_be_measured():
    groups = measure_memory(os.getpid())

    own = groups["launcher"].memory
    assert 0 < own.private_dirty_mib <= own.pss_mib <= own.rss_mib


def test_processor_time_only_grows():
    before_s = cpu_seconds(os.getpid())
    sum(range(100_000))

    assert 0 < before_s <= cpu_seconds(os.getpid())
