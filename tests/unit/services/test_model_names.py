"""Names of hosted models, and what stands behind them here."""

import pytest

from config import load_settings
from domain.errors import ConfigurationError, OptionInvalid
from engines.weights.catalog import official_weights
from services.model_names import find_name, list_names, model_for

HOSTED = ("whisper-1", "gpt-4o-transcribe")


def settings_with(tmp_path, **changes):
    return load_settings(
        database_url="postgresql://nobody@127.0.0.1:1/none",
        redis_url="redis://127.0.0.1:1/0",
        admin_api_key="k7Q2mVx9Rb4tZp1W",
        data_dir=tmp_path,
        model_size="small",
        **changes,
    )


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("tiny.en", "tiny.en"),
        ("large", "large-v3"),
        ("TURBO ", "turbo"),
        ("whisper-1", "base"),
        ("Whisper-1", "base"),
        ("gpt-4o-transcribe", "small"),
    ],
)
def test_a_name_means_our_own_size_then_its_alias_then_the_default(tmp_path, name, size):
    settings = settings_with(tmp_path, model_aliases="whisper-1=base, my-model=large")

    assert model_for(settings, name, HOSTED) == size


def test_an_alias_that_no_api_knows_works_too(tmp_path):
    settings = settings_with(tmp_path, model_aliases="my-model=large")

    assert model_for(settings, "my-model", HOSTED) == "large-v3"


def test_any_other_name_is_refused_under_the_name_of_the_doors_field(tmp_path):
    settings = settings_with(tmp_path, model_aliases="my-model=large")

    with pytest.raises(OptionInvalid) as refused:
        model_for(settings, "gpt-9" * 20, HOSTED, option="model_id")

    assert refused.value.details["option"] == "model_id"
    assert len(refused.value.details["value"]) == 40
    assert {"tiny", "my-model", "whisper-1"} <= set(refused.value.details["allowed"])


@pytest.mark.parametrize(
    "aliases", ["whisper-1", "whisper-1=", "=base", "whisper-1=huge", "tiny=base"]
)
def test_an_alias_that_means_nothing_stops_the_start(tmp_path, aliases):
    with pytest.raises(ConfigurationError, match="MODEL_ALIASES"):
        settings_with(tmp_path, model_aliases=aliases)


def test_the_list_has_every_name_once_and_says_what_is_installed(tmp_path):
    settings = settings_with(tmp_path, model_aliases="whisper-1=base")
    settings.model_path.mkdir(parents=True)
    (settings.model_path / official_weights("base").file_name).write_bytes(b"weights")

    listed = list_names(settings, HOSTED)

    names = [found.name for found in listed]
    assert len(names) == len(set(names))
    assert {"tiny", "large-v3", "large", "whisper-1", "gpt-4o-transcribe"} <= set(names)
    assert {found.name for found in listed if found.is_installed} == {"base", "whisper-1"}
    assert all((found.installed_at > 0) == found.is_installed for found in listed)


def test_every_name_of_the_list_is_found_and_means_what_the_list_says(tmp_path):
    settings = settings_with(tmp_path, model_aliases="whisper-1=base")

    for listed in list_names(settings, HOSTED):
        assert find_name(settings, listed.name, HOSTED) == listed
        assert model_for(settings, listed.name, HOSTED) == listed.model_size


def test_a_name_that_is_not_in_the_list_is_not_found(tmp_path):
    with pytest.raises(OptionInvalid):
        find_name(settings_with(tmp_path), "gpt-9", HOSTED)
