"""The HTTP calls. One `Server` per run, shared by all files."""

import ipaddress
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx

from client.answers import NOTHING_ACCEPTED, TRY_AGAIN, check_answer, json_object, reason_of
from client.contract import Job, JobPage, job_from_json, page_from_json
from client.errors import ServerBroken, ServerUnreachable, SubmitUncertain
from client.patience import Patience, TroubleMayPass
from client.upload import PROBE_TIMEOUT_S, Upload, put_recording

CONNECT_TIMEOUT_S = 5.0
STALL_TIMEOUT_S = 60.0  # no byte moved either way
BROKEN_UPLOADS = 3  # a server that hangs up on each of so many uploads means it
CANCEL_TIMEOUT_S = 5.0

Params = Mapping[str, str]


class Server:
    """A Scriptorium server at an address. Use as an async context manager."""

    def __init__(self, address: str, key: str | None, patience: Patience) -> None:
        self.address = normal_address(address)
        self._patience = patience
        headers = {"User-Agent": "scriptorium-client"}
        if key:
            headers["X-API-Key"] = key
        # Reading the certificates takes longer than most requests, and http:// needs none.
        verify = self.address.startswith("https:")
        # A proxy from the environment would look for 127.0.0.1 on its own machine.
        trust_env = not is_loopback(self.address)
        self._http = httpx.AsyncClient(
            base_url=self.address,
            headers=headers,
            timeout=_timeout(STALL_TIMEOUT_S),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            verify=verify,
            trust_env=trust_env,
        )
        self._uploads = httpx.Client(
            base_url=self.address,
            headers=headers,
            timeout=_timeout(PROBE_TIMEOUT_S),
            limits=httpx.Limits(max_connections=None),
            verify=verify,
            trust_env=trust_env,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()
        self._uploads.close()

    async def submit(self, upload: Upload, options: Params) -> Job:
        """Send a recording; the job as accepted. Sent again only when nothing was accepted.

        Raises SubmitUncertain when the answer to a complete upload was lost.
        """
        broken = 0

        async def send_once() -> Job:
            nonlocal broken
            try:
                return await self._put(upload, options)
            except TroubleMayPass:
                upload.start_over()  # refused
                raise
            except httpx.TransportError as error:
                reason = reason_of(error, self.address)
                if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                    raise TroubleMayPass(reason) from error
                broken += 1
                if upload.is_sent:
                    raise SubmitUncertain(
                        f"{reason} after the whole file was sent: "
                        "the server may have accepted it, see the `list` command"
                    ) from error
                if broken >= BROKEN_UPLOADS:
                    raise ServerBroken(f"{reason} during the upload, {broken} times") from error
                upload.start_over()
                raise TroubleMayPass(reason) from error

        return await self._patience.call(send_once)

    async def _put(self, upload: Upload, options: Params) -> Job:
        answer = await put_recording(self._uploads, upload, options)
        if answer.status_code in TRY_AGAIN - NOTHING_ACCEPTED:
            raise SubmitUncertain(
                f"a proxy answered HTTP {answer.status_code}: "
                "the server may have accepted the file, see the `list` command"
            )
        check_answer(answer, passing=NOTHING_ACCEPTED)
        return _job(answer)

    async def get_job(self, job_id: str, *, wait_s: float = 0) -> Job:
        """Where the job stands; with `wait_s` the server holds the answer until it changes."""
        params = {"wait": f"{wait_s:g}"} if wait_s else {}
        return _job(await self._get(_job_path(job_id), params, wait_s=wait_s))

    async def get_result(self, job_id: str, wanted: Params) -> bytes:
        """The transcript in the format that `wanted` names, as the server wrote it."""
        answer = await self._get(f"{_job_path(job_id)}/result", wanted)
        return answer.content

    async def list_jobs(self, filters: Params) -> JobPage:
        """One page of jobs, newest first."""
        data = json_object(await self._get("jobs/", filters))
        try:
            return page_from_json(data)
        except (KeyError, TypeError, ValueError) as error:
            raise ServerBroken("the list of jobs cannot be read") from error

    async def list_errors(self, filters: Params) -> list[Mapping[str, Any]]:
        """Dead letters, newest first. Needs the admin key."""
        data = json_object(await self._get("admin/errors", filters))
        return list(data.get("errors") or data.get("items") or ())

    async def cancel_job(self, job_id: str) -> None:
        """Cancel a pending or running job. Raises RequestRefused (409) when it has ended."""
        await self._patience.call(lambda: self._delete(job_id, {}))

    async def cancel_job_at_once(self, job_id: str) -> None:
        """The same without trying again, for a user who wants to leave."""
        try:
            await self._delete(job_id, {})
        except TroubleMayPass as trouble:
            raise ServerUnreachable(str(trouble)) from trouble

    async def purge_job(self, job_id: str) -> None:
        """Remove a finished job with its result and its recording from the server."""
        await self._patience.call(lambda: self._delete(job_id, {"purge": "true"}))

    async def _delete(self, job_id: str, params: Params) -> None:
        answer = await self._send("DELETE", _job_path(job_id), params, CANCEL_TIMEOUT_S)
        check_answer(answer, passing=TRY_AGAIN)

    async def _get(self, path: str, params: Params, *, wait_s: float = 0) -> httpx.Response:
        async def ask() -> httpx.Response:
            answer = await self._send("GET", path, params, STALL_TIMEOUT_S + wait_s)
            return check_answer(answer, passing=TRY_AGAIN)

        return await self._patience.call(ask)

    async def _send(self, method: str, path: str, params: Params, read_s: float) -> httpx.Response:
        try:
            return await self._http.request(
                method, path, params=dict(params), timeout=_timeout(read_s)
            )
        except httpx.TransportError as error:
            raise TroubleMayPass(reason_of(error, self.address)) from error


def _timeout(read_s: float) -> httpx.Timeout:
    return httpx.Timeout(STALL_TIMEOUT_S, connect=CONNECT_TIMEOUT_S, read=read_s, pool=None)


def normal_address(address: str) -> str:
    """The address with a scheme and without a slash at its end. Raises ValueError if unusable."""
    address = address.strip().rstrip("/")
    if "://" not in address:
        address = f"http://{address}"
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{address!r} is no http:// or https:// address")
    _ = parts.port  # raises ValueError when it is no number
    return address


def is_loopback(address: str) -> bool:
    """True when the address names this machine."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _job_path(job_id: str) -> str:
    return f"transcribe/{quote(job_id, safe='')}"


def _job(answer: httpx.Response) -> Job:
    data = json_object(answer)
    try:
        return job_from_json(data)
    except (KeyError, TypeError, ValueError) as error:
        raise ServerBroken(
            f"{answer.request.url} does not answer like a Scriptorium server"
        ) from error
