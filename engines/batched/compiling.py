"""Loops compiled by numba: kept on disk where that is possible, run by one caller at a time."""

import logging
from collections.abc import Callable
from threading import Lock
from typing import Any

import numba

logger = logging.getLogger(__name__)

# Where there is no OpenMP, numba's own threads abort the process when two callers meet in them.
_one_at_a_time = Lock()


class CompiledLoops:
    """A function that is compiled at its first call and runs its `prange` loops in parallel.

    It returns nothing and writes into its arguments. The machine code is kept beside the source
    or in the user's cache; where neither can be written or read, every process compiles anew.
    """

    def __init__(self, function: Callable[..., None], options: dict[str, Any]) -> None:
        self.__doc__ = function.__doc__
        self._function = function
        self._options = options
        self._is_kept = True
        try:
            self._run = numba.njit(cache=True, **options)(function)
        except RuntimeError as error:  # numba finds no folder that it may write
            self._compile_for_now(error)

    def __call__(self, *arguments: Any) -> None:
        """Run. Arguments are numpy arrays and numbers."""
        with _one_at_a_time:
            try:
                self._run(*arguments)
            except Exception as error:  # a full disk; a damaged file, which may raise anything
                if not self._is_kept:
                    raise
                self._compile_for_now(error)
                self._run(*arguments)

    def _compile_for_now(self, error: Exception) -> None:
        logger.warning("loops_not_kept", extra={"reason": str(error)})
        self._is_kept = False
        self._run = numba.njit(**self._options)(self._function)


def compile_loops(**options: Any) -> Callable[[Callable[..., None]], CompiledLoops]:
    """A decorator. `options` are `numba.njit`'s; changed ones count once the source changes too,
    so they stand beside the function, and what it calls stands in its file.
    """
    return lambda function: CompiledLoops(function, options)
