import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
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


# Named on its command line as a model host is, and at work as long as its input is open.
SLEEPER = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
HOST_WORDS = ("worker.py model-host", "--place", "0")


@contextmanager
def sleeper(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [*SLEEPER, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


# A launcher with one child, a worker, which has a child of its own and a model host.
LAUNCHER = """
import subprocess, sys
asleep = "import sys; print('up', flush=True); sys.stdin.read()"
worker = '''
import subprocess, sys
for words in (["prefork"], ["worker.py model-host", "--place", "0"]):
    child = subprocess.Popen([sys.executable, "-c", sys.argv[-1], *words], stdout=-1)
    child.stdout.readline()
print("up", flush=True)
sys.stdin.read()
'''
child = subprocess.Popen([sys.executable, "-c", worker, "worker.py worker", asleep], stdout=-1)
child.stdout.readline()
print("up", flush=True)
sys.stdin.read()
"""


@contextmanager
def launcher() -> Iterator[int]:
    """The process id of a launcher whose whole tree ends with its input."""
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid


def test_a_model_host_is_no_child_of_the_worker_that_started_it():
    with launcher() as pid:
        groups = measure_memory(pid)

    assert {name: group.count for name, group in groups.items()} == {
        "launcher": 1,
        "worker parent": 1,
        "worker child 1": 1,
        "model host": 1,
    }


def test_a_model_host_that_outlived_its_worker_is_measured_all_the_same():
    with launcher() as pid, sleeper(*HOST_WORDS) as host:
        groups = measure_memory(pid, [host.pid])

    assert groups["model host"].count == 2
    assert groups["model host"].memory.pss_mib > 0


def test_a_model_host_below_the_launcher_counts_once():
    with launcher() as pid:
        tree = psutil.Process(pid).children(recursive=True)
        [host] = [process for process in tree if HOST_WORDS[0] in process.cmdline()]
        groups = measure_memory(pid, [host.pid])
        alone_s, both_s = cpu_seconds(pid), cpu_seconds(pid, [host.pid])

    assert groups["model host"].count == 1
    assert both_s == pytest.approx(alone_s, abs=0.1)


def test_the_processor_time_of_a_model_host_elsewhere_counts():
    with sleeper() as launched:
        alone_s = cpu_seconds(launched.pid)
        with_host_s = cpu_seconds(launched.pid, [os.getpid()])

    assert with_host_s > alone_s


def test_a_model_host_that_is_gone_counts_for_nothing():
    with sleeper(*HOST_WORDS) as host:
        gone = host.pid

    with sleeper() as launched:
        assert "model host" not in measure_memory(launched.pid, [gone])
