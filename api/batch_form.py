"""A form with several recordings: each goes into the store as it arrives."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask import Request
from werkzeug.sansio.multipart import Data, Field, File

from api.multipart import Form, PartCollector, filename_of, receive_parts
from domain.errors import FileMissing, OptionInvalid, ScriptoriumError, UploadTooLarge
from storage.base import Storage, StoredFile, Upload

FILES = "files"
OTHER_PARTS = 64  # fields, beside the files


@dataclass
class ReceivedFile:
    """One file part: in the store, or what spoke against it."""

    filename: str | None
    content_type: str | None
    stored: StoredFile | None = None
    error: ScriptoriumError | None = None


class FilesCollector(PartCollector):
    """Takes any number of files. One that is too large or empty does not stop the others."""

    file_part = FILES

    def __init__(
        self, known: Collection[str], open_upload: Callable[[], Upload], *, max_files: int
    ) -> None:
        super().__init__(known, open_upload, Form())
        self.files: list[ReceivedFile] = []
        self._max_files = max_files
        self._upload: Upload | None = None

    def require_files(self) -> None:
        """Raise FileMissing for a form without files."""
        if not self.files:
            raise FileMissing(f"the form has no parts named {FILES!r}", option=FILES)

    def begin_file(self, part: Field | File) -> None:
        """Open the next file. Raises OptionInvalid when there are too many."""
        if len(self.files) == self._max_files:
            raise OptionInvalid(
                f"at most {self._max_files} recordings in a batch",
                option=FILES,
                maximum=self._max_files,
            )
        self.files.append(ReceivedFile(filename_of(part), part.headers.get("content-type")))
        self._upload = self._open_upload()

    def write_file(self, event: Data) -> None:
        """Take what came of the file; the end of the part makes it safe, and closes it."""
        current = self.files[-1]
        if self._upload is not None:
            try:
                self._upload.write(event.data)
            except UploadTooLarge as error:
                current.error = error
                self._upload = None  # it has discarded itself
        if event.more_data or self._upload is None:
            return
        if self._upload.size_bytes:
            current.stored = self._upload.commit()
        else:
            current.error = FileMissing("the file is empty", option=FILES)
            self._upload.discard()
        self._upload = None


@contextmanager
def received_files(
    request: Request,
    storage: Storage,
    *,
    known: Collection[str],
    open_upload: Callable[[], Upload],
    max_files: int,
) -> Iterator[FilesCollector]:
    """The whole form. An error, here or in the block, removes the files again.

    Raises as `receive_form`, and OptionInvalid for too many files.
    """
    collector = FilesCollector({*known, FILES}, open_upload, max_files=max_files)
    try:
        receive_parts(request, collector, max_parts=max_files + OTHER_PARTS)
        collector.require_files()
        yield collector
    except BaseException:
        for file in collector.files:
            if file.stored is not None:
                storage.delete(file.stored.key)
        raise
