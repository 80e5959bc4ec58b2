"""What can go wrong, as a tree. The codes are stable: clients may match on them.

ScriptoriumError                internal_error
+- ConfigurationError           configuration_error
+- RequestError                 (the caller's request is at fault)
|  +- OptionInvalid             option_invalid
|  +- CursorInvalid             cursor_invalid
|  +- FileMissing               file_missing
|  +- UploadTooLarge            upload_too_large
|  +- UploadInterrupted         upload_interrupted
|  +- SourceRefused             source_url_refused
|  +- SourceUnavailable         source_unavailable
|  +- WebhookRefused            webhook_url_refused
|  +- UploadOffsetMismatch      upload_offset_mismatch
|  +- UploadChecksumMismatch    upload_checksum_mismatch
|  +- TusVersionUnsupported     tus_version_unsupported
|  +- ApiKeyInvalid             api_key_invalid
|  +- ScopeMissing              scope_missing
|  +- TenantTaken               tenant_taken
|  +- ApiKeyInactive            api_key_inactive
+- JobNotFound                  job_not_found
+- UploadNotFound               upload_not_found
+- UploadLocked                 upload_locked
+- TooManyUploads               too_many_uploads
+- BatchNotFound                batch_not_found
+- ModelNotFound                model_not_found
+- ErrorLogNotFound             error_log_not_found
+- WebhookNotFound              webhook_not_found
+- DeliveryNotFound             delivery_not_found
+- TooManyWebhooks              too_many_webhooks
+- ApiKeyNotFound               api_key_not_found
+- TenantNotFound               tenant_not_found
+- JobStateConflict             job_state_conflict
+- IdempotencyConflict          idempotency_conflict
+- ResultNotReady               result_not_ready
+- JobFailed                    (the code of the failure)
+- JobCancelled                 job_cancelled
+- JobTimedOut                  job_timed_out
+- AudioGone                    audio_gone
+- TooManyStreams               too_many_streams
+- ServerBusy                   server_busy
+- LimitExceeded
|  +- RateLimited               rate_limited
|  +- TooManyJobs               too_many_jobs
|  +- QuotaExceeded             quota_exceeded
+- StorageError                 storage_error         transient
|  +- StorageFull               storage_full          transient
+- DatabaseUnavailable          database_unavailable  transient
|  +- DatabaseFull              database_full         transient
+- BrokerUnavailable            broker_unavailable    transient
+- WorkerLost                   worker_lost           transient
+- AudioError
|  +- AudioUnreadable           audio_unreadable
|  +- AudioStreamMissing        audio_stream_missing
|  +- AudioEmpty                audio_empty
|  +- AudioTooLong              audio_too_long
|  +- AudioDecodeTimeout        audio_decode_timeout  transient
+- EngineError                  engine_error          transient
   +- ModelUnavailable          model_unavailable
   +- ModelPoolExhausted        model_pool_exhausted  transient
   +- ModelHostLost             model_host_lost       transient
   +- DecodeStalled             decode_stalled        transient
   +- TimeLimitExceeded         time_limit_exceeded   transient
   +- OutOfMemory               out_of_memory         transient

`Stopped` is not an error: it says that the work was asked to end.
"""

from collections.abc import Mapping


class ScriptoriumError(Exception):
    """Base of every error this program raises on purpose.

    `details` are facts for the client, shown in the answer as they are: never a path of
    the server, a secret or a transcript.
    """

    code = "internal_error"
    is_transient = False

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details: Mapping[str, object] = details


class ConfigurationError(ScriptoriumError):
    """The settings contradict themselves or the machine."""

    code = "configuration_error"


class RequestError(ScriptoriumError):
    """The caller's request is at fault."""

    code = "request_invalid"


class OptionInvalid(RequestError):
    """An option has a value that is not allowed; `details` lists what is."""

    code = "option_invalid"


class CursorInvalid(RequestError):
    """A page cursor is not one that this server handed out."""

    code = "cursor_invalid"


class FileMissing(RequestError):
    """The upload has no file part, or the file part has no bytes."""

    code = "file_missing"


class UploadTooLarge(RequestError):
    """The upload is larger than MAX_UPLOAD_SIZE_MB."""

    code = "upload_too_large"


class UploadInterrupted(RequestError):
    """The client went away, or sent less than it announced."""

    code = "upload_interrupted"


class ApiKeyInvalid(RequestError):
    """The key is missing, wrong, revoked or expired; which of them is not said."""

    code = "api_key_invalid"

    def __init__(
        self, message: str = "send a valid API key, as X-API-Key or as a bearer token"
    ) -> None:
        super().__init__(message)


class ScopeMissing(RequestError):
    """The key is good, but not for this; `details.scope` names what it lacks."""

    code = "scope_missing"


class TenantTaken(RequestError):
    """There is a tenant of this name already."""

    code = "tenant_taken"


class ApiKeyInactive(RequestError):
    """A key that is revoked or expired cannot be rotated."""

    code = "api_key_inactive"


class UploadOffsetMismatch(RequestError):
    """The piece does not begin where the upload stands; `details.offset` says where that is."""

    code = "upload_offset_mismatch"


class UploadChecksumMismatch(RequestError):
    """The piece did not arrive as it was sent; it is forgotten."""

    code = "upload_checksum_mismatch"


class TusVersionUnsupported(RequestError):
    """The client speaks no version of the tus protocol that this server knows."""

    code = "tus_version_unsupported"


class UploadNotFound(ScriptoriumError):
    """No upload session has this id, or it has expired."""

    code = "upload_not_found"


class UploadLocked(ScriptoriumError):
    """Another request writes to the upload session."""

    code = "upload_locked"


class TooManyUploads(ScriptoriumError):
    """The tenant has MAX_UPLOAD_SESSIONS unfinished upload sessions."""

    code = "too_many_uploads"


class BatchNotFound(ScriptoriumError):
    """No batch has this id."""

    code = "batch_not_found"


class SourceRefused(RequestError):
    """The address of a recording is one that this server must not call; `details.reason`."""

    code = "source_url_refused"


class SourceUnavailable(RequestError):
    """The address of a recording gave none; `details.reason`, and `details.status` if it spoke."""

    code = "source_unavailable"


class WebhookRefused(RequestError):
    """The address for messages is one that this server must not call; `details.reason`."""

    code = "webhook_url_refused"


class WebhookNotFound(ScriptoriumError):
    """No endpoint for webhooks has this id."""

    code = "webhook_not_found"


class DeliveryNotFound(ScriptoriumError):
    """No message of a webhook has this id, or it is not kept any more."""

    code = "delivery_not_found"


class TooManyWebhooks(ScriptoriumError):
    """The tenant has as many endpoints for webhooks as one may have."""

    code = "too_many_webhooks"


class ModelNotFound(ScriptoriumError):
    """No model has this name."""

    code = "model_not_found"


class JobNotFound(ScriptoriumError):
    """No job has this id."""

    code = "job_not_found"


class ApiKeyNotFound(ScriptoriumError):
    """No key has this id."""

    code = "api_key_not_found"


class TenantNotFound(ScriptoriumError):
    """No tenant has this name."""

    code = "tenant_not_found"


class ErrorLogNotFound(ScriptoriumError):
    """No dead letter has this id."""

    code = "error_log_not_found"


class JobStateConflict(ScriptoriumError):
    """The job's state does not allow this; `details.status` says what it is."""

    code = "job_state_conflict"


class IdempotencyConflict(ScriptoriumError):
    """The Idempotency-Key came before, with something else."""

    code = "idempotency_conflict"


class ResultNotReady(ScriptoriumError):
    """The job has no result: it is not finished, or ended without one."""

    code = "result_not_ready"


class JobFailed(ScriptoriumError):
    """The job that a request waited for failed; its code is that of the failure."""

    def __init__(self, message: str, *, failure: str, **details: object) -> None:
        super().__init__(message, **details)
        self.code = failure


class JobCancelled(ScriptoriumError):
    """The job that a request waited for was cancelled."""

    code = "job_cancelled"


class JobTimedOut(ScriptoriumError):
    """The job that a request waited for takes longer than a request may; it goes on."""

    code = "job_timed_out"


class AudioGone(ScriptoriumError):
    """The recording was removed and cannot be read any more."""

    code = "audio_gone"


class TooManyStreams(ScriptoriumError):
    """The process serves as many event streams as MAX_EVENT_STREAMS allows."""

    code = "too_many_streams"


class ServerBusy(ScriptoriumError):
    """Who waits for a transcript would wait too long; `details.retry_after_s` says when not."""

    code = "server_busy"


class LimitExceeded(ScriptoriumError):
    """The tenant uses as much as it may; `details.retry_after_s` says when to come again."""

    code = "rate_limited"


class RateLimited(LimitExceeded):
    """More requests than the tenant may send in a minute."""


class TooManyJobs(LimitExceeded):
    """As many jobs of the tenant wait as may."""

    code = "too_many_jobs"


class QuotaExceeded(LimitExceeded):
    """The tenant handed in as many bytes or hours today as it may."""

    code = "quota_exceeded"


class StorageError(ScriptoriumError):
    """The store could not keep or read a file."""

    code = "storage_error"
    is_transient = True


class StorageFull(StorageError):
    """The disk has too little room left."""

    code = "storage_full"


class DatabaseUnavailable(ScriptoriumError):
    """Postgres does not answer."""

    code = "database_unavailable"
    is_transient = True


class DatabaseFull(DatabaseUnavailable):
    """Postgres has no room left on its disk."""

    code = "database_full"


class BrokerUnavailable(ScriptoriumError):
    """Valkey or Redis does not answer."""

    code = "broker_unavailable"
    is_transient = True


class WorkerLost(ScriptoriumError):
    """The worker's lease ran out: it died, froze or was cut off."""

    code = "worker_lost"
    is_transient = True


class AudioError(ScriptoriumError):
    """The recording itself is at fault."""

    code = "audio_invalid"


class AudioUnreadable(AudioError):
    """The decoder could not make samples of the file."""

    code = "audio_unreadable"


class AudioStreamMissing(AudioError):
    """The file is a picture, a video without sound or the like."""

    code = "audio_stream_missing"


class AudioEmpty(AudioError):
    """The file decodes to no samples at all."""

    code = "audio_empty"


class AudioTooLong(AudioError):
    """The recording is longer than MAX_AUDIO_DURATION_S."""

    code = "audio_too_long"


class AudioDecodeTimeout(AudioError):
    """The decoder did not finish in time, most often because the machine is overloaded."""

    code = "audio_decode_timeout"
    is_transient = True


class EngineError(ScriptoriumError):
    """The engine failed in a way that another attempt may not meet."""

    code = "engine_error"
    is_transient = True


class ModelUnavailable(EngineError):
    """The weights are not on this machine and could not be fetched."""

    code = "model_unavailable"
    is_transient = False


class ModelPoolExhausted(EngineError):
    """Every place in the pool stayed lent for the whole waiting time."""

    code = "model_pool_exhausted"


class ModelHostLost(EngineError):
    """The process that holds the models died, or does not answer."""

    code = "model_host_lost"


class DecodeStalled(EngineError):
    """The model made no progress for STALL_AFTER_S."""

    code = "decode_stalled"


class TimeLimitExceeded(EngineError):
    """The attempt took longer than a recording of this length may take."""

    code = "time_limit_exceeded"


class OutOfMemory(EngineError):
    """No rung of the out-of-memory ladder was left, or the job forbade to take one."""

    code = "out_of_memory"


class Stopped(Exception):
    """Raised by an engine soon after `should_stop` turned true."""
