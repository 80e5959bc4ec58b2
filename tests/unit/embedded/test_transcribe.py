import pytest

from embedded.transcribe import names_server, wanted_model


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
