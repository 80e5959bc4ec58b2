"""A damaged recording is repaired inside its attempt: no second run, and no option is lost."""

from dataclasses import replace
from functools import partial

from audio.decode import decode
from audio.ffmpeg import find_ffmpeg
from services.jobs import get_job
from services.transcription import run_job
from tests.integration.services.watching import events_of
from tests.recordings import make_recording


def test_a_damaged_recording_is_repaired_in_one_attempt_with_its_own_options(
    services, worker, model, submit, published, tmp_path
):
    damaged = make_recording("flac_damaged", tmp_path).read_bytes()
    job_id = submit(content=damaged, language="de", initial_prompt="Glossar")
    published.clear()
    asked = []
    transcribe = model.transcribe

    def note_options(audio, options, **how):
        asked.append((options.language, options.initial_prompt))
        return transcribe(audio, options, **how)

    model.transcribe = note_options
    real = partial(decode, ffmpeg=find_ffmpeg(""))

    run_job(replace(worker, decode=real))

    job = get_job(services, job_id)
    assert events_of(services, job_id) == ["submitted", "started", "completed"]
    assert (job.status, job.attempt, published) == ("completed", 1, [])
    assert asked == [("de", "Glossar")]
    assert "audio_damaged" in [warning["code"] for warning in job.warnings]
