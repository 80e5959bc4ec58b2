"""Start a process that gets no network: the kernel refuses it every socket.

A filter of system calls (seccomp) belongs to a thread and to whatever that thread starts. So a
thread is made for the start alone: no code of ours runs between fork and exec, no privilege is
needed, and the rest of this process keeps its network. A network namespace would need a right
that containers do not give.
"""

import ctypes
import errno
import logging
import os
import platform
import struct
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple, TypeVar

logger = logging.getLogger(__name__)

Started = TypeVar("Started")


class Machine(NamedTuple):
    """Numbers of one kind of processor: linux/audit.h and asm/unistd.h."""

    audit_arch: int
    seccomp: int
    socket: int


MACHINES = {
    "x86_64": Machine(audit_arch=0xC000_003E, seccomp=317, socket=41),
    "aarch64": Machine(audit_arch=0xC000_00B7, seccomp=277, socket=198),
}
IO_URING_SETUP = 425  # could open sockets without the call of that name
X32_BIT = 0x4000_0000  # the same calls by other numbers, on x86_64

PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4  # or kernels before 5.16 slow the process down

# linux/bpf_common.h; offsets are those of struct seccomp_data.
LOAD, IS_EQUAL, IS_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
CALL_OFFSET, ARCH_OFFSET = 0, 4
ALLOW = 0x7FFF_0000
REFUSE = 0x0005_0000 | errno.EPERM


class _Program(ctypes.Structure):
    """A sock_fprog: how many instructions there are, and where."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def start_without_network(start: Callable[[], Started]) -> Started:
    """What `start` returns or raises; processes that it starts can open no socket.

    Linux on x86_64 and aarch64. Elsewhere, or where the kernel refuses the filter, the process
    starts all the same, and the log says so once.
    """

    def isolate_and_start() -> Started:
        reason = _refuse_sockets()
        if reason:
            _warn_once(reason)
        return start()

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="isolate") as executor:
        return executor.submit(isolate_and_start).result()


def _refuse_sockets() -> str:
    """Take all sockets from this thread for good; returns why not, or an empty text."""
    machine = MACHINES.get(platform.machine())
    if machine is None or sys.platform != "linux":
        return "not supported on this machine"
    code = _filter(machine)
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return os.strerror(ctypes.get_errno())
    arguments = SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, ctypes.byref(program)
    if libc.syscall(machine.seccomp, *arguments):
        return os.strerror(ctypes.get_errno())
    return ""


@cache
def _filter(machine: Machine) -> bytes:
    """Instructions that refuse a socket, io_uring and the calls of any other architecture."""
    lines = (
        (LOAD, 0, 0, ARCH_OFFSET),
        (IS_EQUAL, 0, 4, machine.audit_arch),
        (LOAD, 0, 0, CALL_OFFSET),
        (IS_AT_LEAST, 2, 0, X32_BIT),
        (IS_EQUAL, 1, 0, machine.socket),
        (IS_EQUAL, 0, 1, IO_URING_SETUP),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    )
    return b"".join(struct.pack("HBBI", *line) for line in lines)


@cache
def _warn_once(reason: str) -> None:
    logger.warning("decoder_keeps_network", extra={"reason": reason})
