"""Dalston's native submission, which shares its address with OpenAI's: which is which.

A form is native when it has a field that only the native API knows, or the model `auto`, or no
model and no field that only OpenAI knows. OpenAI's form always names a model. See
docs/compatibility.md.
"""

from dataclasses import replace
from typing import Any

from flask import Response, jsonify, url_for

from api.current import current_services, current_tenant
from api.doors.form import Pairs, values_of
from api.doors.native.problems import answer
from api.doors.native.schemas import NativeCreatedSchema, NativeFormSchema
from api.doors.openai.names import HOSTED_MODELS
from api.doors.problem import Problem, Refused, problem_of
from api.doors.waiting import JOB_HEADER
from api.idempotency import idempotency, mark_replayed
from api.multipart import FILE, Form
from api.submissions import current_submission
from api.transcriptions import recording_of
from config import Settings
from domain.errors import FileMissing
from domain.options import TranscriptionOptions, check_options
from formats.doors.native import GRANULARITY, display_name, status_word
from services.jobs import get_job, submit_once
from services.model_names import model_for

DOOR = "dalston"
AUTO = "auto"
FORM = NativeFormSchema()
NAMES = frozenset(FORM.load_fields)
SHARED = {FILE, "model", "language"}  # with OpenAI's form
NATIVE_ONLY = NAMES - SHARED
NOT_HERE = "is not available here"
NO_SPEAKERS = f"{NOT_HERE}: this server does not tell speakers apart yet"
NO_PII = f"{NOT_HERE}: this server does not look for personal data"
REFUSED = {
    "num_speakers": NO_SPEAKERS,
    "min_speakers": NO_SPEAKERS,
    "max_speakers": NO_SPEAKERS,
    "model_diarize": NO_SPEAKERS,
    "model_align": f"{NOT_HERE}: words are aligned by the model itself",
    "model_pii_detect": NO_PII,
    "pii_entity_types": NO_PII,
    "pii_redaction_mode": NO_PII,
    "retention": f"{NOT_HERE}: how long jobs are kept is set for the whole server",
    "webhook_metadata": f"{NOT_HERE}: a webhook names the job, and nothing else of yours",
}
# What is taken because it asks for nothing.
HARMLESS: dict[str, tuple[Any, str]] = {
    "speaker_detection": ("none", NO_SPEAKERS),
    "pii_detection": (False, NO_PII),
    "redact_pii_audio": (False, NO_PII),
    "lite_profile": ("core", f"{NOT_HERE}: there are no profiles but core"),
}
THEIR_NAME = {"model_size": "model", "initial_prompt": "vocabulary", "source_url": "audio_url"}


def is_native(pairs: Pairs) -> bool:
    """Whether a form with these fields is a native submission; else it is OpenAI's."""
    given = {name: value.strip().lower() for name, value in pairs}
    if any(value and name in NATIVE_ONLY for name, value in given.items()):
        return True
    return given["model"] == AUTO if "model" in given else SHARED.issuperset(given)


def accept(form: Form) -> Response:
    """Make the job of a native form; a failure is answered in this API's shape."""
    try:
        return _accept(form)
    except Exception as error:  # noqa: BLE001 - every kind has its answer, and is logged there
        return answer(_renamed(problem_of(error)))


def options_of(settings: Settings, values: dict[str, Any]) -> TranscriptionOptions:
    """The options of the job. Raises OptionInvalid, and Refused for what this server lacks."""
    for name, reason in REFUSED.items():
        if name in values:
            raise Refused(name, f"{name} {reason}")
    for name, (harmless, reason) in HARMLESS.items():
        if values.get(name, harmless) != harmless:
            raise Refused(name, f"{name} {reason}")
    model = values.get("model", AUTO).strip().lower()
    return check_options(
        TranscriptionOptions(
            model_size=(
                settings.model_size if model == AUTO else model_for(settings, model, HOSTED_MODELS)
            ),
            language=values.get("language"),
            initial_prompt=", ".join(values.get("vocabulary", [])) or None,
            word_timestamps=values[GRANULARITY] == "word",
        )
    )


def _accept(form: Form) -> Response:
    for name, _ in form.fields:
        if name not in NAMES:
            raise Refused(
                name,
                f"{name} is a field of OpenAI's form, and the other fields make this a native one",
            )
    values = values_of(form, FORM)
    services = current_services()
    options = options_of(services.settings, values)
    if form.file is None and "audio_url" not in values:
        raise FileMissing("the form has no part named 'file', and no audio_url", option=FILE)
    keep = recording_of(form.file, values.get("audio_url"))
    # Before the recording is kept: this refuses a webhook that must not be called.
    submission = current_submission(values, once=idempotency())
    recording = keep()
    submission = replace(
        submission,
        filename=recording.filename,
        content_type=recording.content_type,
        door=DOOR,
        door_fields={GRANULARITY: values[GRANULARITY]},
    )
    made = submit_once(services, recording.stored, options, submission)
    job = get_job(services, made.job_id, tenant=current_tenant())
    response = jsonify(
        NativeCreatedSchema().dump(
            {
                "id": job.job_id,
                "status": status_word(job.status),
                "display_name": display_name(job.name, job.filename, job.job_id),
                "created_at": job.created_at,
            }
        )
    )
    response.status_code = 201
    response.headers[JOB_HEADER] = str(job.job_id)
    response.headers["Location"] = url_for("native_jobs.Job", job_id=job.job_id)
    return mark_replayed(response) if made.is_replayed else response


def _renamed(problem: Problem) -> Problem:
    """The failure with the name that the field has in this form."""
    ours = problem.field
    if ours not in THEIR_NAME:
        return problem
    theirs = THEIR_NAME[ours]
    return replace(
        problem,
        field=theirs,
        message=problem.message.replace(ours, theirs),
        details={**problem.details, "option": theirs},
    )
