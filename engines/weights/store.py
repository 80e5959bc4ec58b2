"""The folder of weights: what lies in it, and whether it is what openai-whisper expects.

Hashing gigabytes at every start would be slow, so a checked file is remembered in a small
record beside it; the record counts only while size and time of change stay the same.
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from domain.errors import EngineError, ModelUnavailable
from engines.weights.catalog import DISTINCT_SIZES, OfficialWeights, official_weights

LOCK_TIMEOUT_S = 3600  # the largest model, 3 GB, at 7 Mbit/s
FOUND = "found in the folder"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckRecord:
    """What is remembered of a file whose hash was right."""

    sha256: str
    size_bytes: int
    mtime_ns: int
    source: str


@dataclass(frozen=True)
class WeightsStatus:
    """One model in the folder."""

    weights: OfficialWeights
    state: Literal["absent", "intact", "wrong"]
    size_bytes: int = 0
    source: str = ""


def sha256_of(path: Path) -> str:
    """The file's sum in hexadecimal, read piece by piece."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_remembered(path: Path, sha256: str) -> bool:
    """Whether the file stands as it was when its hash was last found right. Reads no weights."""
    record = _read_record(path)
    if record is None or not path.is_file():
        return False
    stat = path.stat()
    found = (sha256, stat.st_size, stat.st_mtime_ns)
    return (record.sha256, record.size_bytes, record.mtime_ns) == found


def is_intact(path: Path, sha256: str) -> bool:
    """Hash the file, and remember it when right. False also when there is no file."""
    if not path.is_file():
        return False
    before = path.stat()
    if sha256_of(path) != sha256:
        return False
    record = _read_record(path)
    source = record.source if record and record.sha256 == sha256 else FOUND
    _write_record(path, CheckRecord(sha256, before.st_size, before.st_mtime_ns, source))
    return True


def admit(candidate: Path, weights: OfficialWeights, model_dir: Path, *, source: str) -> Path:
    """Move a complete file to its place if its hash is right.

    Otherwise removes it and raises ModelUnavailable.
    """
    found = sha256_of(candidate)
    if found != weights.sha256:
        candidate.unlink()
        raise ModelUnavailable(
            f"what came for {weights.model_size} is not the official file: its SHA-256 is "
            f"{found}, not {weights.sha256}. It was removed",
            model_size=weights.model_size,
        )
    path = model_dir / weights.file_name
    candidate.replace(path)
    stat = path.stat()
    _write_record(path, CheckRecord(found, stat.st_size, stat.st_mtime_ns, source))
    return path


def remove_weights(path: Path) -> None:
    """Remove a file and what is remembered of it."""
    path.unlink(missing_ok=True)
    _record_path(path).unlink(missing_ok=True)


def inspect_weights(model_size: str, model_dir: Path, *, full: bool) -> WeightsStatus:
    """Say what the folder holds for a model; `full` hashes even a remembered file."""
    weights = official_weights(model_size)
    path = model_dir / weights.file_name
    if not path.is_file():
        return WeightsStatus(weights, "absent")
    size_bytes = path.stat().st_size
    is_remembered_now = not full and is_remembered(path, weights.sha256)
    if not is_remembered_now and not is_intact(path, weights.sha256):
        return WeightsStatus(weights, "wrong", size_bytes)
    record = _read_record(path)
    return WeightsStatus(weights, "intact", size_bytes, record.source if record else FOUND)


def present_sizes(model_dir: Path) -> list[str]:
    """Names of the models whose file lies in the folder, from small to large; nothing hashed."""
    return [s for s in DISTINCT_SIZES if (model_dir / official_weights(s).file_name).is_file()]


@contextmanager
def hold_lock(weights: OfficialWeights, model_dir: Path) -> Iterator[None]:
    """Let one process at a time fetch these weights. Raises EngineError after an hour."""
    lock = FileLock(model_dir / f".{weights.file_name}.lock", timeout=LOCK_TIMEOUT_S)
    try:
        lock.acquire()
    except Timeout as error:
        raise EngineError(
            f"another process has been fetching {weights.model_size} for an hour"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _record_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.json")


def _read_record(path: Path) -> CheckRecord | None:
    try:
        return CheckRecord(**json.loads(_record_path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # none yet, or written by another version
        return None


def _write_record(path: Path, record: CheckRecord) -> None:
    target = _record_path(path)
    draft = target.with_suffix(".draft")
    try:
        draft.write_text(json.dumps(asdict(record), indent=2), encoding="utf-8")
        draft.replace(target)
    except OSError as error:  # a folder that is mounted read-only: hashed again next time
        logger.info("weights_check_not_remembered", extra={"reason": str(error)})
        with suppress(OSError):
            draft.unlink(missing_ok=True)
