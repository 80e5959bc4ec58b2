from click.testing import CliRunner

from scripts import models, samples


def run_models(folder, *arguments):
    return CliRunner().invoke(models.cli, ["--model-dir", str(folder), *arguments])


def test_the_list_shows_every_model_of_an_empty_folder_as_absent(tmp_path):
    result = run_models(tmp_path, "list")

    assert result.exit_code == 0
    assert result.output.count("absent") == 12
    assert "large-v3-turbo" in result.output


def test_the_list_tells_of_a_wrong_file_and_leaves_it(tmp_path):
    (tmp_path / "tiny.pt").write_bytes(b"wrong")

    result = run_models(tmp_path, "list")

    assert result.exit_code == 1
    assert "wrong SHA-256: tiny;" in result.output
    assert (tmp_path / "tiny.pt").exists()


def test_verify_removes_a_wrong_file_and_says_so(tmp_path):
    (tmp_path / "tiny.pt").write_bytes(b"wrong")

    result = run_models(tmp_path, "verify")

    assert result.exit_code == 1
    assert "tiny.pt: SHA-256 is wrong, removed" in result.output
    assert not (tmp_path / "tiny.pt").exists()


def test_ensure_refuses_an_unknown_model_with_the_nearest_name(tmp_path):
    result = run_models(tmp_path, "ensure", "smal")

    assert result.exit_code == 1
    assert "did you mean 'small'?" in result.output


def test_a_sample_that_lies_there_is_not_fetched_but_one_that_was_changed_is_not_taken(tmp_path):
    path = tmp_path / "jfk.wav"
    path.write_bytes(b"RIFF")

    is_intact = samples.is_intact(path, samples.SAMPLES["jfk.wav"])

    assert not is_intact


def test_an_unknown_sample_ends_with_a_usage_error_that_lists_the_names():
    result = CliRunner().invoke(samples.cli, ["path", "nothing.wav"])

    assert result.exit_code == 2
    assert "two_cities.wav" in result.output
