"""The processes of a server and the memory of each, as the kernel accounts it."""

from collections.abc import Mapping
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


def service_name(command_line: str) -> str:
    """Which service of the launcher a command line is; its first word for a stranger."""
    found = (name for word, name in NAMES.items() if word in command_line)
    return next(found, command_line.partition(" ")[0] or "ended")


def measure_memory(launcher_pid: int) -> dict[str, Group]:
    """Memory by name, now; worker children by number, the rest of a service together.

    Processes that end meanwhile are left out. Raises PermissionError for those of others.
    """
    launcher = psutil.Process(launcher_pid)
    found: dict[str, list[Memory]] = {LAUNCHER: [_read(launcher)]}
    for service in launcher.children():
        name = service_name(_command_line(service))
        found.setdefault(f"{name} parent" if name == "worker" else name, []).append(_read(service))
        number = 0
        for child in _descendants(service):
            if FFMPEG in _command_line(child):
                label = FFMPEG
            elif name == "worker":
                number += 1
                label = f"worker child {number}"
            else:
                label = name
            found.setdefault(label, []).append(_read(child))
    return {name: _group(memories) for name, memories in found.items()}


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and all below it since their start, those that ended too."""
    process = psutil.Process(pid)
    return sum(_cpu_s(each) for each in (process, *_descendants(process)))


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


def _read(process: psutil.Process) -> Memory:
    try:
        return parse_rollup(Path(f"/proc/{process.pid}/smaps_rollup").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return Memory()
