"""Clients that hand in recordings whatever happens to the server."""

import queue
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx

from chaos.errors import ChaosFailed
from chaos.recordings import Cut

CLIENTS = 2
TIMEOUT_S = 15.0
REPEAT_AFTER_S = 0.25
MAX_GAP_S = 0.3
URGENT_SHARE = 0.2
PASSING = frozenset({429, 502, 503, 504})  # asked again; anything else is a defect
# One temperature and no ladder: what is said then follows from the recording alone.
OPTIONS = {"temperature": "0", "language": "en"}


@dataclass(frozen=True)
class Submission:
    """One recording to hand in, under a name that no other submission has."""

    name: str
    path: Path
    priority: str


def plan_submissions(
    seed: int, cuts: Sequence[Cut], paths: Mapping[str, Path]
) -> Iterator[Submission]:
    """Submissions without end: recordings in turn, one in five of them urgent."""
    draw = random.Random(f"{seed}-submissions")  # noqa: S311 - not a secret
    number = 0
    while True:
        cut = cuts[number % len(cuts)]
        priority = "high" if draw.random() < URGENT_SHARE else "normal"
        yield Submission(f"{cut.name}-{number:04}.wav", paths[cut.name], priority)
        number += 1


class Feeder:
    """Hands in what is released. A submission is repeated until it is accepted."""

    def __init__(self, url: str, key: str, submissions: Iterator[Submission], seed: int) -> None:
        self.accepted: dict[str, UUID] = {}  # by file name
        self.repeats = 0
        self.found_again = 0
        self.released = 0
        self.in_flight = 0  # submissions that wait for their answer now
        self._url, self._key = url, key
        self._submissions = submissions
        self._waiting: queue.Queue[Submission] = queue.Queue()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(f"chaos-{number}", seed), daemon=True)
            for number in range(CLIENTS)
        ]

    def start(self) -> None:
        """Begin. The threads end with the process or with `stop`."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Hand in nothing more."""
        self._stop.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S)

    def release(self, total: int) -> None:
        """Let `total` submissions be handed in by and by, those of before included."""
        while self.released < total:
            self._waiting.put(next(self._submissions))
            self.released += 1

    @property
    def is_idle(self) -> bool:
        """Whether all that was released is accepted. Raises ChaosFailed when a client failed."""
        if self._error is not None:
            raise ChaosFailed(f"a submission failed: {self._error}") from self._error
        return len(self.accepted) == self.released

    def _run(self, client: str, seed: int) -> None:
        draw = random.Random(f"{seed}-{client}")  # noqa: S311 - not a secret
        headers = {"X-Client-ID": client, "X-API-Key": self._key}
        try:
            with httpx.Client(
                base_url=self._url, timeout=TIMEOUT_S, trust_env=False, headers=headers
            ) as http:
                while not self._stop.wait(draw.uniform(0, MAX_GAP_S)):
                    self._hand_in_next(http)
        except Exception as error:  # noqa: BLE001 - told in the main thread
            self._error = error

    def _hand_in_next(self, http: httpx.Client) -> None:
        try:
            submission = self._waiting.get(timeout=REPEAT_AFTER_S)
        except queue.Empty:
            return
        job_id = self._submit(http, submission)
        while job_id is None and not self._stop.wait(REPEAT_AFTER_S):
            job_id = self._submit_again(http, submission)
        if job_id is not None:
            with self._lock:
                self.accepted[submission.name] = job_id

    def _submit(self, http: httpx.Client, submission: Submission) -> UUID | None:
        """The id of the new job, or None when the server did not say so."""
        files = {"file": (submission.name, submission.path.read_bytes(), "audio/wav")}
        data = {**OPTIONS, "priority": submission.priority}
        with self._lock:
            self.in_flight += 1
        try:
            answer = http.post("/transcribe/", files=files, data=data)
        except httpx.TransportError:
            return None
        finally:
            with self._lock:
                self.in_flight -= 1
        return UUID(answer.json()["job_id"]) if _is_good(answer) else None

    def _submit_again(self, http: httpx.Client, submission: Submission) -> UUID | None:
        # The answer may have been lost after the job was made: the list tells.
        is_known, job_id = _find(http, submission.name)
        if not is_known:
            return None
        with self._lock:
            self.repeats += 1
            self.found_again += job_id is not None
        return job_id or self._submit(http, submission)


def _find(http: httpx.Client, name: str) -> tuple[bool, UUID | None]:
    """Whether the server answered, and the job of this name where there is one."""
    try:
        answer = http.get("/jobs/", params={"filename": name})
    except httpx.TransportError:
        return False, None
    if not _is_good(answer):
        return False, None
    found = [job["job_id"] for job in answer.json()["jobs"] if job["filename"] == name]
    return True, UUID(found[0]) if found else None


def _is_good(answer: httpx.Response) -> bool:
    if answer.status_code in PASSING:
        return False
    if answer.is_success:
        return True
    raise ChaosFailed(f"{answer.request.url} answered {answer.status_code}: {answer.text[:300]}")
