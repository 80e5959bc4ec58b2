import pytest

from domain.errors import OptionInvalid
from domain.options import (
    MODEL_SIZES,
    TranscriptionOptions,
    canonical_language,
    canonical_model,
    check_options,
)


@pytest.mark.parametrize("name", MODEL_SIZES)
def test_every_size_that_whisper_names_may_be_asked_for(name):
    assert canonical_model(name.upper()) in MODEL_SIZES


def test_an_alias_becomes_the_size_behind_it():
    assert canonical_model("large") == "large-v3"
    assert canonical_model("large-v3-turbo") == "turbo"


def test_an_unknown_size_is_answered_with_the_list_and_a_guess():
    with pytest.raises(OptionInvalid, match="did you mean 'small'") as caught:
        canonical_model("smal")

    assert caught.value.details["allowed"] == list(MODEL_SIZES)


@pytest.mark.parametrize(
    ("value", "code"),
    [("en", "en"), ("German", "de"), ("castilian", "es"), ("auto", None), ("", None)],
)
def test_languages_go_by_code_or_by_name(value, code):
    assert canonical_language(value) == code


@pytest.mark.parametrize(
    ("asked", "option"),
    [
        ({"model_size": "huge"}, "model_size"),
        ({"language": "klingon"}, "language"),
        ({"model_size": "base.en", "language": "de"}, "language"),
        ({"model_size": "base.en", "task": "translate"}, "task"),
        ({"model_size": "turbo", "task": "translate"}, "task"),
        ({"model_size": "base", "language": "yue"}, "language"),
        ({"task": "summarize"}, "task"),
        ({"decode_mode": "parallel"}, "decode_mode"),
        ({"temperature": 1.5}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"beam_size": 0}, "beam_size"),
        ({"beam_size": 50}, "beam_size"),
        ({"beam_size": 5, "temperature": 0.5}, "beam_size"),
        ({"initial_prompt": "a" * 10_001}, "initial_prompt"),
    ],
)
def test_a_bad_option_is_named(asked, option):
    options = TranscriptionOptions(**{"model_size": "base", **asked})

    with pytest.raises(OptionInvalid) as caught:
        check_options(options)

    assert caught.value.details["option"] == option


def test_good_options_come_back_with_canonical_names():
    options = TranscriptionOptions(model_size="LARGE", language="German", initial_prompt="")

    checked = check_options(options)

    assert checked == TranscriptionOptions(model_size="large-v3", language="de")


def test_options_survive_the_way_through_json():
    options = TranscriptionOptions(
        model_size="base", temperature=0.0, beam_size=5, decode_mode="sequential"
    )

    assert TranscriptionOptions.from_dict(options.to_dict()) == options


def test_options_written_before_decode_mode_existed_are_batched():
    written = TranscriptionOptions(model_size="base", beam_size=5).to_dict()
    del written["decode_mode"]

    assert TranscriptionOptions.from_dict(written).decode_mode == "batched"
