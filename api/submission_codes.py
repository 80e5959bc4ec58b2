"""The error codes that a submission may answer with, by what they are about.

Every door puts its list together of these; each documents only what it can answer with.
"""

# Of the body, as it arrives.
ARRIVAL_CODES = (
    "upload_interrupted",
    "length_required",
    "upload_too_large",
    "media_type_unsupported",
)
# Of a body with fields beside the recording, which have to be readable.
BODY_CODES = ("request_invalid", *ARRIVAL_CODES)
OPTION_CODES = ("validation_error", "option_invalid")
# Of what the tenant may still submit.
TENANT_CODES = ("too_many_jobs", "quota_exceeded")
# Of a recording that is fetched from an address.
SOURCE_CODES = ("source_url_refused", "source_unavailable")
# Of what came, once it was looked into.
RECORDING_CODES = (
    "audio_unreadable",
    "audio_stream_missing",
    "audio_empty",
    "audio_too_long",
    "audio_decode_timeout",
)
STORAGE_CODES = ("storage_error", "storage_full")

# Of `/transcribe/`.
SUBMISSION_CODES = (
    *BODY_CODES,
    *OPTION_CODES,
    "idempotency_conflict",
    *TENANT_CODES,
    "webhook_url_refused",
    "file_missing",
    *SOURCE_CODES,
    "server_busy",
    *RECORDING_CODES,
    "database_unavailable",
    *STORAGE_CODES,
)
