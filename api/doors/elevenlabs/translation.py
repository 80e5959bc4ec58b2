"""ElevenLabs' words for what is asked, put into ours."""

from collections.abc import Mapping
from typing import Any

from api.doors.elevenlabs.values import SEPARATOR
from config import Settings
from domain.options import TranscriptionOptions, check_options
from services.model_names import model_for

# Whatever ElevenLabs calls its models stands for this server's own.
KNOWN_MODELS = (
    "scribe_v1",
    "scribe_v1_experimental",
    "scribe_v2",
    "scribe_v2_medical",
    "scribe_v3",
)


def options_of(settings: Settings, form: Mapping[str, Any]) -> TranscriptionOptions:
    """The options of the job. Raises OptionInvalid, by our names of the options."""
    asks_for_words = form.get("timestamps_granularity") != "none"
    return check_options(
        TranscriptionOptions(
            model_size=model_for(settings, form["model_id"], KNOWN_MODELS, option="model_id"),
            language=form.get("language_code"),
            initial_prompt=SEPARATOR.join(form.get("keyterms", [])) or None,
            temperature=form.get("temperature"),
            # Additional formats are cut by the times of words.
            word_timestamps=asks_for_words or bool(form.get("additional_formats")),
        )
    )


def door_fields_of(form: Mapping[str, Any]) -> dict[str, Any]:
    """What the answer depends on beside the transcript, to be kept with the job."""
    kept = ("timestamps_granularity", "additional_formats")
    return {name: form[name] for name in kept if name in form}
