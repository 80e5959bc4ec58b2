"""Forms that no client would send: never a crash, never a file left behind."""

import random

from tests.unit.api.test_submit import form_body

ROUNDS = 60
PIECES = (b"\r\n", b"--frontier", b"--frontier--", b'name="file"', b"\0", b"\xff\xfe", b";", b": ")


def mangle(body: bytes, chance: random.Random) -> bytes:
    """The body with one to four cuts, repeats or insertions."""
    for _ in range(chance.randint(1, 4)):
        start, end = sorted(chance.randrange(len(body) + 1) for _ in range(2))
        body = chance.choice(
            [
                body[:start] + body[end:],
                body[:start] + chance.choice(PIECES) + body[start:],
                body[:end] + body[start:],
            ]
        )
    return body


def test_a_mangled_form_is_taken_or_refused_but_never_half_of_each(client, jobs, files_on_disk):
    chance = random.Random(7)  # noqa: S311 - the same mangling on every run
    whole = form_body(
        ('name="model_size"', b"tiny"),
        ('name="file"; filename="a.wav"\r\nContent-Type: audio/wav', bytes(range(256)) * 4),
        ('name="language"', b"de"),
    )
    for _ in range(ROUNDS):
        body = mangle(whole, chance)

        answer = client.post(
            "/transcribe/", data=body, content_type="multipart/form-data; boundary=frontier"
        )

        assert answer.status_code in (202, 400, 422), (body, answer.text)
        assert len(files_on_disk()) == len(jobs.submitted), body
