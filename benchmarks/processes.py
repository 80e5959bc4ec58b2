"""The processes of a server and the memory of each, as the kernel accounts it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

KIB_PER_MIB = 1024
# Words of a command line that tell a direct child of the launcher; the first that fits.
NAMES = {
    "postgres": "postgres",
    "valkey": "valkey",
    "gunicorn": "web",
    "reconciler": "reconciler",
    "flower": "flower",
    "worker.py": "worker",
}
LAUNCHER = "launcher"
FFMPEG = "ffmpeg"
WORKER, PARENT, CHILD = "worker", "worker parent", "worker child"
MODEL_HOST = "model host"
MODEL_HOST_COMMAND = "worker.py model-host"


@dataclass(frozen=True)
class Memory:
    """Memory of one process, or of several together, in MiB."""

    rss_mib: float = 0.0  # all its pages; a shared one counts in every process
    pss_mib: float = 0.0  # a shared page counts as its share: sums are true
    private_dirty_mib: float = 0.0  # what ending the process would give back for good
    shared_mib: float = 0.0  # pages that other processes map too

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(
            self.rss_mib + other.rss_mib,
            self.pss_mib + other.pss_mib,
            self.private_dirty_mib + other.private_dirty_mib,
            self.shared_mib + other.shared_mib,
        )

    def highest(self, other: "Memory") -> "Memory":
        """The larger of each figure."""
        return Memory(
            max(self.rss_mib, other.rss_mib),
            max(self.pss_mib, other.pss_mib),
            max(self.private_dirty_mib, other.private_dirty_mib),
            max(self.shared_mib, other.shared_mib),
        )


@dataclass(frozen=True)
class Group:
    """Processes of one name."""

    count: int
    memory: Memory


def parse_rollup(text: str) -> Memory:
    """Read the content of /proc/PID/smaps_rollup. Raises KeyError when a figure is missing."""
    fields = (line.split() for line in text.splitlines() if line.endswith(" kB"))
    kib = {words[0].rstrip(":"): int(words[1]) for words in fields}
    return Memory(
        rss_mib=kib["Rss"] / KIB_PER_MIB,
        pss_mib=kib["Pss"] / KIB_PER_MIB,
        private_dirty_mib=kib["Private_Dirty"] / KIB_PER_MIB,
        shared_mib=(kib["Shared_Clean"] + kib["Shared_Dirty"]) / KIB_PER_MIB,
    )


def read_memory(pid: int) -> Memory:
    """Memory of one process now; nothing when it is gone. Raises PermissionError."""
    try:
        return parse_rollup(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return Memory()


def service_name(command_line: str) -> str:
    """Which service of the launcher a command line is; its first word for a stranger."""
    found = (name for word, name in NAMES.items() if word in command_line)
    return next(found, command_line.partition(" ")[0] or "ended")


def measure_memory(launcher_pid: int, hosts: Sequence[int] = ()) -> dict[str, Group]:
    """Memory by name, now; worker children by number, the rest of a service together.

    `hosts` are process ids of model hosts: one that outlived the worker that started it is no
    child of the launcher any more. Processes that end meanwhile are left out. Raises
    PermissionError for those of others.
    """
    launcher = psutil.Process(launcher_pid)
    found: dict[str, list[Memory]] = {LAUNCHER: [read_memory(launcher_pid)]}
    seen = {launcher_pid}
    for service in _children(launcher):
        name = service_name(_command_line(service))
        named = [(PARENT if name == WORKER else name, service)]
        for label, process in [*named, *_labelled(service, name)]:
            seen.add(process.pid)
            found.setdefault(label, []).append(read_memory(process.pid))
    for pid in hosts:
        for process in _tree(pid):
            if process.pid not in seen:
                seen.add(process.pid)
                found.setdefault(MODEL_HOST, []).append(read_memory(process.pid))
    return {name: _group(memories) for name, memories in found.items()}


def _labelled(service: psutil.Process, name: str) -> Iterator[tuple[str, psutil.Process]]:
    """What runs below a service, each with the name of its group."""
    number = 0
    for child in _descendants(service):
        command_line = _command_line(child)
        if FFMPEG in command_line:
            yield FFMPEG, child
        elif MODEL_HOST_COMMAND in command_line:
            yield MODEL_HOST, child
        elif name == WORKER:
            number += 1
            yield f"{CHILD} {number}", child
        else:
            yield name, child


def cpu_seconds(pid: int, hosts: Sequence[int] = ()) -> float:
    """Processor time of a process and all below it since their start, those that ended too.

    `hosts` as in `measure_memory`: each counts once, wherever it stands.
    """
    psutil.Process(pid)  # raises NoSuchProcess: a reading of nothing is no reading
    processes = {each.pid: each for root in (pid, *hosts) for each in _tree(root)}
    return sum(map(_cpu_s, processes.values()))


def highest_of(samples: list[Mapping[str, Group]]) -> dict[str, Group]:
    """Each figure's largest value over samples taken one after another."""
    names = dict.fromkeys(name for sample in samples for name in sample)
    result = {}
    for name in names:
        groups = [sample[name] for sample in samples if name in sample]
        memory = Memory()
        for group in groups:
            memory = memory.highest(group.memory)
        result[name] = Group(max(group.count for group in groups), memory)
    return result


def _group(memories: list[Memory]) -> Group:
    # One that ended while we looked reads as nothing.
    alive = [memory for memory in memories if memory.rss_mib]
    return Group(len(alive), sum(alive, start=Memory()))


def _tree(pid: int) -> list[psutil.Process]:
    """A process and all below it; none when it is gone."""
    try:
        root = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return []
    return [root, *_descendants(root)]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children())
    except psutil.NoSuchProcess:
        return []


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        children = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return sorted(children, key=lambda child: child.pid)


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
