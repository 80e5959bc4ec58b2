"""Which recordings to send, and what their transcripts are called."""

import mimetypes
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from client.addresses import is_address, name_of, problem_of
from client.errors import OutputNotWritten

STDIN = "-"
AUDIO_ENDINGS = (
    "3ga 3gp aac ac3 aif aiff amr ape asf au avi caf flac flv m2ts m4a m4b m4v mka mkv mov "
    "mp2 mp3 mp4 mpeg mpg mpga mts oga ogg ogv opus ra spx ts tta wav webm wma wmv wv"
)
AUDIO_SUFFIXES = frozenset(f".{ending}" for ending in AUDIO_ENDINGS.split())
EXTENSIONS = {
    "txt": ".txt",
    "srt": ".srt",
    "vtt": ".vtt",
    "tsv": ".tsv",
    "json": ".json",
    "verbose_json": ".json",
}


class InputProblem(Exception):
    """The paths given cannot be used; the message says which and why."""


@dataclass(frozen=True)
class Input:
    """One recording: its path, and where it lies below the folder that was given."""

    path: Path
    below: Path  # folder relative to the one given on the command line, else `.`
    filename: str  # as the server is told
    is_stdin: bool = False
    address: str | None = None  # where the server shall fetch it; there is no file then

    @property
    def content_type(self) -> str:
        """By the name's ending; the server looks for itself."""
        return mimetypes.guess_type(self.filename)[0] or "application/octet-stream"


def collect_inputs(
    paths: Iterable[str], *, recursive: bool, stdin_name: str = "audio"
) -> list[Input]:
    """The recordings behind the paths, each once, in the order given; `-` is standard input.

    A file is taken whatever its name; of a folder, the audio and video files that are not
    hidden. Raises InputProblem for a path that is missing, unreadable or an empty folder.
    """
    found: dict[Path | str, Input] = {}
    for text in paths:
        if is_address(text):
            found.setdefault(text, _address_input(text))
            continue
        path = Path(text)
        if text == STDIN:
            # A file of this name resolves to an absolute path, so the keys differ.
            found[path] = Input(path, Path(), readable_name(stdin_name), is_stdin=True)
            continue
        items = _folder_inputs(path, recursive=recursive) if path.is_dir() else [_file_input(path)]
        for item in items:
            found.setdefault(item.path.resolve(), item)
    return list(found.values())


def _address_input(address: str) -> Input:
    problem = problem_of(address)
    if problem:
        raise InputProblem(f"an address {problem}")
    name = readable_name(name_of(address))
    return Input(Path(name), Path(), name, address=address)


def _file_input(path: Path) -> Input:
    if not path.is_file():
        raise InputProblem(f"{path}: no such file" if not path.exists() else f"{path}: not a file")
    if not os.access(path, os.R_OK):
        raise InputProblem(f"{path}: not readable")
    return Input(path, Path(), readable_name(path.name))


def _folder_inputs(folder: Path, *, recursive: bool) -> list[Input]:
    files = list(_walk(folder) if recursive else _visible_files(folder))
    if not files:
        hint = "" if recursive else " (--recursive looks into its folders too)"
        raise InputProblem(f"{folder}: no audio or video files in this folder{hint}")
    return [
        Input(file, file.parent.relative_to(folder), readable_name(file.name)) for file in files
    ]


def _walk(folder: Path) -> Iterator[Path]:
    yield from _visible_files(folder)
    for child in sorted(folder.iterdir(), key=natural_key):
        # A linked folder may lead back up, so links are not followed.
        if child.is_dir() and not child.is_symlink() and not child.name.startswith("."):
            yield from _walk(child)


def _visible_files(folder: Path) -> list[Path]:
    return [
        file
        for file in sorted(folder.iterdir(), key=natural_key)
        if file.suffix.lower() in AUDIO_SUFFIXES
        and not file.name.startswith(".")
        and file.is_file()
    ]


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key by name that puts `part 2` before `part 10`."""
    return [
        (0, int(piece), "") if piece.isascii() and piece.isdigit() else (1, 0, piece.casefold())
        for piece in re.split(r"(\d+)", path.name)
        if piece
    ]


def readable_name(name: str) -> str:
    """The name as valid text without control characters, for the server and the screen."""
    text = os.fsencode(name).decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def spool_stdin() -> BinaryIO:
    """Standard input, read to its end, as a temporary file that vanishes when closed.

    Its length must be known for the upload, and a second try must read it again.
    """
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    shutil.copyfileobj(sys.stdin.buffer, spool)
    return spool


def stream_size(stream: BinaryIO) -> int:
    """Length of a seekable stream in bytes."""
    return stream.seek(0, os.SEEK_END)


def name_outputs(inputs: list[Input], folder: Path, transcript_format: str) -> list[Path]:
    """One path per input, in `folder`, no two alike.

    `talk.mp3` becomes `talk.srt`; where two inputs share a stem both keep their whole name,
    `talk.mp3.srt` and `talk.wav.srt`; where even that is alike a number follows.
    """
    extension = EXTENSIONS[transcript_format]
    stems = Counter(_fold(item.below / Path(item.filename).stem) for item in inputs)
    taken: set[str] = set()
    outputs = []
    for item in inputs:
        stem = Path(item.filename).stem
        base = stem if stems[_fold(item.below / stem)] == 1 else item.filename
        name, number = base, 1
        while _fold(item.below / name) in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(_fold(item.below / name))
        outputs.append(folder / item.below / f"{name}{extension}")
    return outputs


def plan_outputs(
    inputs: list[Input], target: str, transcript_format: str, *, takes_folder: bool, force: bool
) -> list[Path]:
    """Where each transcript goes. `target` is a folder if it is one, ends in a slash or must be.

    Raises InputProblem when a file is in the way, or when an output would replace an input.
    """
    path = Path(target)
    is_folder = takes_folder or path.is_dir() or target.endswith(("/", os.sep))
    if is_folder and path.exists() and not path.is_dir():
        raise InputProblem(f"{path}: must be a folder, for there is more than one transcript")
    outputs = name_outputs(inputs, path, transcript_format) if is_folder else [path]
    recordings = {item.path.resolve() for item in inputs if not (item.is_stdin or item.address)}
    own = [str(output) for output in outputs if output.resolve() in recordings]
    if own:
        raise InputProblem(f"would replace the recording itself: {', '.join(own)}")
    present = [str(output) for output in outputs if output.exists()]
    if present and not force:
        shown = ", ".join(present[:5]) + (", ..." if len(present) > 5 else "")  # noqa: PLR2004
        raise InputProblem(f"already there, --force overwrites: {shown}")
    return outputs


def write_output(path: Path, content: bytes, *, force: bool) -> None:
    """Write a whole file or none. Raises OutputNotWritten, also when one appeared meanwhile."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not force and path.exists():
            raise OutputNotWritten(f"{path} appeared meanwhile; --force overwrites")
        if path.exists() and not path.is_file():  # /dev/stdout, a named pipe
            path.write_bytes(content)
            return
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.write_bytes(content)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputNotWritten(f"cannot write {path}: {error.strerror or error}") from error


def _fold(path: Path) -> str:
    # Some file systems hold `Talk` and `talk` for one name.
    return str(path).casefold()
