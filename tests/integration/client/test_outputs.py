from pathlib import Path

import pytest

from client.errors import OutputNotWritten
from client.files import InputProblem, collect_inputs, name_outputs, natural_key, write_output


def names(paths):
    return [path.name for path in paths]


def test_an_output_takes_the_stem_of_its_input(recordings):
    inputs = collect_inputs(recordings("talk.mp3", "memo.wav"), recursive=False)

    outputs = name_outputs(inputs, Path("out"), "srt")

    assert outputs == [Path("out/talk.srt"), Path("out/memo.srt")]


def test_two_inputs_with_one_stem_keep_their_whole_names(recordings):
    inputs = collect_inputs(recordings("a.mp3", "a.wav", "b.mp3"), recursive=False)

    outputs = name_outputs(inputs, Path("out"), "txt")

    assert names(outputs) == ["a.mp3.txt", "a.wav.txt", "b.txt"]


def test_stems_that_differ_by_case_alone_count_as_one(recordings):
    inputs = collect_inputs(recordings("Talk.mp3", "talk.wav"), recursive=False)

    outputs = name_outputs(inputs, Path("out"), "vtt")

    assert names(outputs) == ["Talk.mp3.vtt", "talk.wav.vtt"]


def test_equal_names_from_two_folders_are_numbered(recordings):
    inputs = collect_inputs(recordings("one/a.mp3", "two/a.mp3"), recursive=False)

    outputs = name_outputs(inputs, Path("out"), "json")

    assert names(outputs) == ["a.mp3.json", "a.mp3-2.json"]


def test_a_folder_gives_its_audio_and_video_in_natural_order(recordings, tmp_path):
    recordings("part 10.mp3", "part 2.MP3", "notes.txt", ".hidden.mp3", "film.mkv", "sub/deep.mp3")

    inputs = collect_inputs([str(tmp_path / "in")], recursive=False)

    assert [item.filename for item in inputs] == ["film.mkv", "part 2.MP3", "part 10.mp3"]


def test_recursive_goes_into_folders_but_not_into_hidden_or_linked_ones(recordings, tmp_path):
    recordings("a.mp3", "sub/b.mp3", ".trash/c.mp3")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")

    inputs = collect_inputs([str(tmp_path / "in")], recursive=True)
    outputs = name_outputs(inputs, Path("out"), "txt")

    assert outputs == [Path("out/a.txt"), Path("out/sub/b.txt")]


def test_a_file_named_outright_is_taken_whatever_it_is_called(recordings):
    inputs = collect_inputs(recordings(".hidden", "notes.txt"), recursive=False)

    assert [item.filename for item in inputs] == [".hidden", "notes.txt"]


def test_a_file_given_twice_is_sent_once(recordings):
    (path,) = recordings("a.mp3")

    inputs = collect_inputs([path, str(Path(path).parent)], recursive=False)

    assert len(inputs) == 1


def test_a_folder_without_recordings_is_refused(tmp_path):
    with pytest.raises(InputProblem, match="no audio or video files"):
        collect_inputs([str(tmp_path)], recursive=False)


def test_names_that_mix_digits_and_letters_can_be_sorted():
    paths = [Path("1.mp3"), Path("a.mp3"), Path("²x.mp3"), Path("10.mp3")]

    assert [path.name for path in sorted(paths, key=natural_key)][:2] == ["1.mp3", "10.mp3"]


def test_a_file_that_appeared_meanwhile_is_not_overwritten(tmp_path):
    target = tmp_path / "talk.txt"
    target.write_bytes(b"precious")

    with pytest.raises(OutputNotWritten, match="--force"):
        write_output(target, b"new", force=False)

    assert target.read_bytes() == b"precious"
    assert names(tmp_path.iterdir()) == ["talk.txt"]


def test_several_inputs_go_into_a_folder_that_is_made(client, recordings, tmp_path):
    outcome = client("transcribe", "-o", str(tmp_path / "new/out"), *recordings("a.mp3", "a.wav"))

    out = tmp_path / "new/out"
    assert outcome.code == 0
    assert {path.name: path.read_text() for path in out.iterdir()} == {
        "a.mp3.txt": "text of a.mp3",
        "a.wav.txt": "text of a.wav",
    }


def test_a_folder_keeps_its_shape_in_the_output(client, recordings, tmp_path):
    recordings("a.mp3", "sub/b.mp3")

    client("transcribe", "-r", "-o", str(tmp_path / "out"), str(tmp_path / "in"))

    assert (tmp_path / "out/sub/b.txt").read_text() == "text of b.mp3"


def test_one_input_may_go_into_a_folder_that_exists(client, recordings, tmp_path):
    client("transcribe", "-o", str(tmp_path), "--format", "srt", *recordings("a.mp3"))

    assert (tmp_path / "a.srt").exists()


def test_an_output_in_the_way_is_refused_before_anything_is_sent(toy, client, recordings, tmp_path):
    (tmp_path / "a.txt").write_text("precious")

    outcome = client("transcribe", "-o", str(tmp_path / "a.txt"), *recordings("a.mp3"))

    assert outcome.code == 2
    assert "--force" in outcome.err
    assert toy.requests == []
    assert (tmp_path / "a.txt").read_text() == "precious"


def test_force_overwrites(client, recordings, tmp_path):
    (tmp_path / "a.txt").write_text("old")

    outcome = client("transcribe", "--force", "-o", str(tmp_path / "a.txt"), *recordings("a.mp3"))

    assert outcome.code == 0
    assert (tmp_path / "a.txt").read_text() == "text of a.mp3"


def test_a_recording_is_never_replaced_by_its_own_transcript(toy, client, recordings):
    (path,) = recordings("a.txt")

    outcome = client("transcribe", "--force", "-o", str(Path(path).parent), path)

    assert outcome.code == 2
    assert toy.requests == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["missing.mp3"],
        ["-", "-"],
        ["--filename", "x.mp3", "IN"],
        ["--max-line-width", "40", "IN"],
        ["--max-line-width", "5", "--format", "srt", "IN"],
        ["--detach", "-o", "x", "IN"],
        ["--detach", "--purge", "IN"],
        ["--format", "pdf", "IN"],
        ["--server", "ftp://x", "IN"],
        ["--no-such-option", "IN"],
    ],
)
def test_a_usage_error_is_exit_code_2_and_sends_nothing(toy, client, recordings, arguments):
    (path,) = recordings("a.mp3")
    given = [path if argument == "IN" else argument for argument in arguments]

    if "--server" in given:
        outcome = client("transcribe", path, server="ftp://x")
    else:
        outcome = client("transcribe", *given)

    assert outcome.code == 2
    assert toy.requests == []
