import pytest

from config import Settings
from embedded.credentials import api_key_path
from embedded.transcribe import local_key, names_server, wanted_model


@pytest.mark.parametrize(
    ("options", "model"),
    [
        ([], None),
        (["--format", "srt"], None),
        (["--model", "tiny"], "tiny"),
        (["--format", "srt", "--model=tiny.en"], "tiny.en"),
        (["--model"], None),
    ],
)
def test_the_model_asked_of_the_client_is_known_before_it_runs(options, model):
    assert wanted_model(options) == model


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ([], False),
        (["--server", "http://elsewhere"], True),
        (["--server=http://elsewhere"], True),
        (["--format", "srt"], False),
    ],
)
def test_a_server_named_by_the_user_is_noticed(options, named):
    assert names_server(options) is named


def test_the_key_that_the_server_made_is_found(tmp_path):
    api_key_path(tmp_path).write_text("made-by-the-server\n")

    assert local_key(Settings(_env_file=None, data_dir=tmp_path)) == "made-by-the-server"


def test_a_key_in_the_settings_comes_first(tmp_path):
    api_key_path(tmp_path).write_text("made-by-the-server\n")
    settings = Settings(_env_file=None, data_dir=tmp_path, admin_api_key="chosen")

    assert local_key(settings) == "chosen"


def test_no_key_is_no_error(tmp_path):
    assert local_key(Settings(_env_file=None, data_dir=tmp_path)) == ""
