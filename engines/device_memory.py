"""How much memory a pool may fill with idle and lent models when no limit was set by hand."""

import os
from pathlib import Path

MIB = 1024 * 1024
RAM_SHARE = 0.5  # the rest is for samples, activations, the database and the page cache
GPU_SHARE = 0.8  # activations of beam search on a large model take a few GB
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),  # version 2
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),  # version 1
)


def default_budget_mb(device: str) -> float:
    """Half of the machine's memory, or 80% of a GPU's free memory."""
    if device == "cpu":
        return RAM_SHARE * usable_ram_mb()
    import torch  # late: a pool of fakes needs no torch

    free_bytes, _ = torch.cuda.mem_get_info(device)
    return GPU_SHARE * free_bytes / MIB


def usable_ram_mb() -> float:
    """Memory of the machine, or of the container if that is less."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in CGROUP_LIMITS:
        try:
            limits.append(int(path.read_text()))
        except (OSError, ValueError):  # absent, or "max"
            continue
    return min(limits) / MIB
