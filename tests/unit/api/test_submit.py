"""What becomes of an upload, good or bad."""

import hashlib
from dataclasses import replace
from io import BytesIO

import pytest

from app import create_app
from domain.errors import AudioUnreadable, StorageFull
from domain.lifecycle import Priority
from storage.local import LocalStorage

MIB = 1024 * 1024


def post(client, content=b"RIFF", name="a.wav", query="", **fields):
    data = {**fields, "file": (BytesIO(content), name)}
    return client.post(f"/transcribe/{query}", data=data, content_type="multipart/form-data")


def test_a_form_upload_is_stored_hashed_and_queued(client, jobs, files_on_disk):
    content = bytes(range(256)) * 2000

    answer = post(client, content, "talk.mp3", model_size="tiny", word_timestamps="true")

    (call,) = jobs.submitted
    assert answer.status_code == 202
    assert answer.json["status"] == "pending"
    assert answer.headers["Location"] == f"/transcribe/{answer.json['job_id']}"
    assert call["stored"].sha256 == hashlib.sha256(content).hexdigest()
    assert call["options"].model_size == "tiny"
    assert call["options"].word_timestamps is True
    assert call["filename"] == "talk.mp3"
    assert [path.read_bytes() for path in files_on_disk()] == [content]


def test_a_raw_upload_is_stored_hashed_and_queued(client, jobs, files_on_disk):
    answer = client.put(
        "/transcribe/?filename=../talk.mp3&priority=high&language=German",
        data=b"sound",
        content_type="audio/mpeg",
    )

    (call,) = jobs.submitted
    assert answer.status_code == 202
    assert (call["filename"], call["content_type"]) == ("talk.mp3", "audio/mpeg")
    assert call["priority"] == Priority.HIGH
    assert call["options"].language == "de"
    assert [path.read_bytes() for path in files_on_disk()] == [b"sound"]


def test_a_job_without_options_gets_the_servers_model(client, jobs, settings):
    post(client)

    (call,) = jobs.submitted
    assert call["options"].model_size == settings.model_size
    assert call["priority"] == Priority.NORMAL


def test_options_may_come_from_both_places(client, jobs):
    answer = post(client, query="?model_size=tiny&language=en", language="english", beam_size="3")

    (call,) = jobs.submitted
    assert answer.status_code == 202
    assert (call["options"].model_size, call["options"].beam_size) == ("tiny", 3)


def test_windows_are_decoded_in_batches_unless_the_job_asks_for_a_sequence(client, jobs):
    post(client)
    post(client, decode_mode="Sequential")

    modes = [call["options"].decode_mode for call in jobs.submitted]
    assert modes == ["batched", "sequential"]


def test_an_option_with_two_values_is_refused(client, files_on_disk):
    answer = post(client, query="?language=en", language="de")

    assert answer.status_code == 422
    assert answer.json["details"] == {"option": "language"}
    assert files_on_disk() == []


def test_an_empty_option_counts_as_not_given(client, jobs):
    answer = post(client, language="", temperature="", initial_prompt="")

    (call,) = jobs.submitted
    assert answer.status_code == 202
    assert call["options"].language is None


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("model_size", "smal", "small"),
        ("language", "klingon", "en"),
        ("task", "summarize", "translate"),
        ("priority", "urgent", "high"),
        ("decode_mode", "parallel", "sequential"),
    ],
)
def test_an_unknown_value_is_refused_with_what_is_allowed(
    client, files_on_disk, name, value, allowed
):
    by_form = post(client, **{name: value})
    by_query = post(client, query=f"?{name}={value}")

    for answer in (by_form, by_query):
        assert answer.status_code == 422
        assert answer.json["code"] == "option_invalid"
        assert answer.json["details"]["option"] == name
        assert allowed in answer.json["details"]["allowed"]
    assert files_on_disk() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "warm"),
        ("temperature", "nan"),
        ("temperature", "1.5"),
        ("beam_size", "0"),
        ("beam_size", "2.5"),
        ("word_timestamps", "maybe"),
        ("initial_prompt", "x" * 10_001),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_field(client, files_on_disk, name, value):
    answer = post(client, **{name: value})

    assert answer.status_code == 422
    assert answer.json["code"] == "validation_error"
    assert list(answer.json["details"]) == [name]
    assert files_on_disk() == []


def test_a_language_that_an_english_model_cannot_do_is_refused(client, files_on_disk):
    answer = post(client, model_size="base.en", language="de")

    assert answer.status_code == 422
    assert answer.json["details"]["allowed"] == ["en"]
    assert files_on_disk() == []


def test_a_misspelt_option_is_refused_with_a_hint(client, files_on_disk):
    by_form = post(client, langage="de")
    by_query = post(client, query="?model=tiny")

    assert by_form.status_code == 422
    assert "did you mean 'language'?" in by_form.json["message"]
    assert "model_size" in by_query.json["details"]["allowed"]
    assert files_on_disk() == []


def test_a_nul_in_a_value_is_refused(client):
    answer = post(client, initial_prompt="a\0b")

    assert answer.status_code == 422
    assert answer.json["code"] == "option_invalid"


def test_bad_options_in_the_address_are_refused_before_the_body_is_read(client):
    body = UnreadableBody()

    answer = client.put("/transcribe/?model_size=tiny.en&language=de", input_stream=body)

    assert answer.status_code == 422
    assert body.reads == 0


def test_a_body_announced_too_large_is_refused_before_it_is_read(client, files_on_disk):
    body = UnreadableBody()

    put = client.put("/transcribe/", input_stream=body, environ_overrides=announce(MIB + 1))
    form = client.post(
        "/transcribe/",
        input_stream=body,
        environ_overrides=announce(3 * MIB),
        content_type="multipart/form-data; boundary=x",
    )

    for answer in (put, form):
        assert answer.status_code == 413
        assert answer.json["code"] == "upload_too_large"
    assert form.json["details"]["max_bytes"] == 2 * MIB  # with room for the form itself
    assert body.reads == 0
    assert files_on_disk() == []


def test_a_body_of_unknown_length_is_cut_off_when_it_grows_too_large(client, files_on_disk):
    answer = client.put(
        "/transcribe/",
        input_stream=BytesIO(b"x" * (MIB + 1)),
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert answer.status_code == 413
    assert files_on_disk() == []


def test_a_body_of_exactly_the_limit_is_taken(client, jobs):
    known = client.put("/transcribe/", data=b"x" * MIB)
    unknown = client.put(
        "/transcribe/",
        input_stream=BytesIO(b"x" * MIB),
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert (known.status_code, unknown.status_code) == (202, 202)
    assert [call["stored"].size_bytes for call in jobs.submitted] == [MIB, MIB]


def test_a_file_in_a_form_may_not_exceed_the_limit_either(client, files_on_disk):
    answer = post(client, b"x" * (MIB + 1))

    assert answer.status_code == 413
    assert files_on_disk() == []


def test_a_disk_almost_full_is_507(services, jobs, files_on_disk):
    full = LocalStorage(services.settings.storage_path, min_free_bytes=2**62)
    client = create_app(services=replace(services, storage=full)).test_client()

    answer = post(client)

    assert answer.status_code == 507
    assert answer.json["code"] == StorageFull.code
    assert files_on_disk() == []


def test_a_file_that_is_no_audio_is_422_and_not_kept_in_the_form(services, jobs):
    def refuse(path):
        raise AudioUnreadable("this is no recording")

    client = create_app(services=replace(services, probe=refuse)).test_client()

    answer = post(client, b"just text", "text.mp3")

    assert answer.status_code == 422
    assert answer.json["code"] == "audio_unreadable"
    assert jobs.submitted == []


def test_an_empty_file_is_refused(client, files_on_disk):
    by_form = post(client, b"")
    by_put = client.put("/transcribe/", environ_overrides=announce(0))

    for answer in (by_form, by_put):
        assert answer.status_code == 422
        assert answer.json["code"] == "file_missing"
    assert files_on_disk() == []


def test_a_form_without_a_file_is_refused(client):
    answer = client.post(
        "/transcribe/", data={"model_size": "tiny"}, content_type="multipart/form-data"
    )

    assert answer.status_code == 422
    assert answer.json["code"] == "file_missing"


def test_two_files_in_one_form_are_refused(client, files_on_disk):
    answer = client.post(
        "/transcribe/",
        data={"file": [(BytesIO(b"one"), "1.wav"), (BytesIO(b"two"), "2.wav")]},
        content_type="multipart/form-data",
    )

    assert answer.status_code == 422
    assert answer.json["details"]["option"] == "file"
    assert files_on_disk() == []


def test_a_file_under_another_name_is_refused(client, files_on_disk):
    answer = client.post(
        "/transcribe/",
        data={"files": (BytesIO(b"one"), "1.wav")},
        content_type="multipart/form-data",
    )

    assert answer.status_code == 422
    assert "did you mean 'file'?" in answer.json["message"]
    assert files_on_disk() == []


def test_an_option_sent_as_a_file_is_refused(client):
    answer = post(client, model_size=(BytesIO(b"tiny"), "model.txt"))

    assert answer.status_code == 422
    assert answer.json["details"]["option"] == "model_size"


def test_a_bad_field_after_the_file_leaves_nothing_on_disk(client, files_on_disk):
    answer = client.post(
        "/transcribe/",
        data=form_body(('name="file"; filename="a.wav"', b"x" * 500_000), ('name="nope"', b"1")),
        content_type="multipart/form-data; boundary=frontier",
    )

    assert answer.status_code == 422
    assert files_on_disk() == []


def test_a_file_part_without_a_name_is_taken(client, jobs):
    answer = client.post(
        "/transcribe/",
        data=form_body(('name="file"', b"sound")),
        content_type="multipart/form-data; boundary=frontier",
    )

    (call,) = jobs.submitted
    assert answer.status_code == 202
    assert call["filename"] is None
    assert call["stored"].size_bytes == 5


@pytest.mark.parametrize("cut_bytes", [1, 5, 30, 40_000])
def test_a_form_that_breaks_off_is_refused_and_leaves_nothing(client, files_on_disk, cut_bytes):
    body = form_body(('name="file"; filename="a.wav"', b"x" * 300_000))

    answer = client.post(
        "/transcribe/",
        data=body[: -cut_bytes - 2],  # the last line break may be missing
        content_type="multipart/form-data; boundary=frontier",
    )

    assert answer.status_code == 400
    assert answer.json["code"] == "upload_interrupted"
    assert files_on_disk() == []


def test_a_client_that_hangs_up_half_way_leaves_nothing(client, files_on_disk):
    answer = client.put(
        "/transcribe/",
        input_stream=BytesIO(b"x" * 1000),
        # As gunicorn: the end of the stream is quiet.
        environ_overrides={**announce(5000), "wsgi.input_terminated": True},
    )

    assert answer.status_code == 400
    assert answer.json["details"] == {"received_bytes": 1000, "announced_bytes": 5000}
    assert files_on_disk() == []


def test_a_body_that_is_no_form_is_refused_with_what_to_do(client):
    as_json = client.post("/transcribe/", json={"file": "a.wav"})
    no_boundary = client.post("/transcribe/", data=b"x", content_type="multipart/form-data")
    zipped = client.put("/transcribe/", data=b"x", headers={"Content-Encoding": "gzip"})

    assert as_json.status_code == 415
    assert "multipart/form-data" in as_json.json["message"]
    assert no_boundary.status_code == 400
    assert zipped.status_code == 415


def test_a_request_without_any_length_is_411(client):
    answer = client.put("/transcribe/")

    assert answer.status_code == 411
    assert answer.json["code"] == "length_required"


def test_headers_without_end_are_refused(client, files_on_disk):
    body = b'--frontier\r\nContent-Disposition: form-data; name="file"' + b"x" * 1_500_000

    answer = client.post(
        "/transcribe/", data=body, content_type="multipart/form-data; boundary=frontier"
    )

    assert answer.status_code == 400
    assert files_on_disk() == []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("été 🎉.mp3", "été 🎉.mp3"),
        ("a%22b.mp3", 'a"b.mp3'),
        ("x" * 300 + ".mp3", "x" * 251 + ".mp3"),
    ],
)
def test_only_the_last_part_of_a_file_name_is_kept(client, jobs, files_on_disk, sent, kept):
    post(client, name=sent)

    (call,) = jobs.submitted
    (path,) = files_on_disk()
    assert call["filename"] == kept
    assert path.name == call["stored"].key


def announce(size_bytes):
    return {"CONTENT_LENGTH": str(size_bytes)}


def form_body(*parts):
    lines = [
        b"--frontier\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + value
        for head, value in parts
    ]
    return b"\r\n".join(lines) + b"\r\n--frontier--\r\n"


class UnreadableBody(BytesIO):
    """Counts every attempt to read from it."""

    def __init__(self):
        super().__init__(b"body")
        self.reads = 0

    def read(self, *size):
        self.reads += 1
        return super().read(*size)

    def readinto(self, buffer):
        self.reads += 1
        return super().readinto(buffer)
