"""Sending one recording: a blocking request in a thread of its own.

A server refuses a wrong option or a file that is too large before it has read the body, and
closes the connection on the rest of it. Its answer is then still in our socket, but an asyncio
transport throws it away at the first write that fails; a blocking socket lets us read it.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

import httpx

from client.errors import InputChanged

T = TypeVar("T")

UPLOAD_BLOCK_BYTES = 256 * 1024
PROBE_TIMEOUT_S = 300.0  # the server stores and probes the file before it answers
FETCH_TIMEOUT_S = 3600 + PROBE_TIMEOUT_S  # the most that a server's SOURCE_TIMEOUT_S may be


@dataclass
class Upload:
    """One recording to be sent: an open stream of exactly `size_bytes`."""

    stream: BinaryIO
    size_bytes: int
    filename: str
    content_type: str
    on_sent: Callable[[int], None]  # called in the loop's thread with the bytes sent so far
    sent_bytes: int = 0
    is_form: bool = False  # it says where the recording lies, and the server fetches it
    _is_abandoned: bool = False
    # From handing the last block over to hearing that it left, the server may already answer.
    _may_be_complete: bool = False
    _handing_over: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def is_sent(self) -> bool:
        """True once the last byte was handed to the network."""
        return self.sent_bytes >= self.size_bytes

    def blocks(self, report: Callable[[int], None]) -> Iterator[bytes]:
        """The stream from its start, block by block. Raises InputChanged if it is cut short."""
        self.stream.seek(0)
        self.sent_bytes = 0
        report(0)
        while self.sent_bytes < self.size_bytes:
            block = self.stream.read(min(UPLOAD_BLOCK_BYTES, self.size_bytes - self.sent_bytes))
            if not block:
                raise InputChanged(
                    f"{self.filename} became shorter while it was sent: "
                    f"{self.sent_bytes} of {self.size_bytes} bytes read"
                )
            with self._handing_over:
                if self._is_abandoned:
                    return
                self._may_be_complete = self.sent_bytes + len(block) >= self.size_bytes
            yield block
            # Asked for the next block: this one has left.
            self.sent_bytes += len(block)
            report(self.sent_bytes)

    def start_over(self) -> None:
        """Note that the server has nothing of it: it all has to be sent again."""
        self.sent_bytes = 0
        self._may_be_complete = False

    def abandon(self) -> bool:
        """Hand no further block over. False when the server may have all of them already."""
        with self._handing_over:
            self._is_abandoned = True
            return not self._may_be_complete


async def put_recording(
    http: httpx.Client, upload: Upload, options: Mapping[str, str]
) -> httpx.Response:
    """Send the recording once; whatever the server answers. Raises httpx.TransportError."""
    loop = asyncio.get_running_loop()

    def report(sent_bytes: int) -> None:
        loop.call_soon_threadsafe(upload.on_sent, sent_bytes)

    def put() -> httpx.Response:
        return http.request(
            "POST" if upload.is_form else "PUT",
            "transcribe/",
            params=options if upload.is_form else {"filename": upload.filename, **options},
            content=upload.blocks(report),
            headers={
                "Content-Length": str(upload.size_bytes),
                "Content-Type": upload.content_type,
            },
            timeout=FETCH_TIMEOUT_S if upload.is_form else http.timeout,
        )

    try:
        return await in_daemon_thread(put)
    except asyncio.CancelledError:
        upload.abandon()
        raise


async def in_daemon_thread(work: Callable[[], T]) -> T:
    """The outcome of blocking work. Unlike `asyncio.to_thread`, leaving never waits for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():  # cancelled meanwhile
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # None only beside an error

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as caught:  # noqa: BLE001 - handed over to the one who waits
            error = caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True).start()
    return await future
