import numpy as np
import pytest

from audio.plain_wav import BLOCK_SAMPLES, PlainSound, find_plain_sound, read_plain_sound
from domain.errors import AudioDecodeTimeout, AudioTooLong, Stopped
from tests.wav_files import FORMAT, ODD, PLAIN, SOUND, chunk, wav

LIMITS = {"max_duration_s": 60.0, "timeout_s": 60.0}


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "sound.wav"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("kind", PLAIN)
def test_plain_sound_is_found(write, kind):
    assert find_plain_sound(write(PLAIN[kind])) is not None


@pytest.mark.parametrize("kind", ODD)
def test_anything_else_is_left_to_the_decoder(write, kind):
    assert find_plain_sound(write(ODD[kind])) is None


def test_a_file_that_is_not_there_is_left_to_the_decoder(tmp_path):
    assert find_plain_sound(tmp_path / "removed.wav") is None


def test_a_file_of_countless_chunks_is_left_to_the_decoder(write):
    countless = wav(FORMAT, *[chunk(b"JUNK", b"")] * 1000, chunk(b"data", SOUND))

    assert find_plain_sound(write(countless)) is None


def test_samples_are_the_numbers_of_the_file_divided_by_full_scale(write):
    numbers = np.array([0, 1, -1, 32767, -32768], dtype="<i2")
    path = write(wav(FORMAT, chunk(b"data", numbers.tobytes())))

    samples = read_plain_sound(path, find_plain_sound(path), **LIMITS)

    assert samples.dtype == np.float32
    assert samples.tolist() == [0.0, 1 / 32768, -1 / 32768, 32767 / 32768, -1.0]


def test_sound_of_more_than_one_block_comes_whole(write):
    numbers = np.arange(2 * BLOCK_SAMPLES + 5, dtype=np.uint32).astype("<i2")
    path = write(wav(FORMAT, chunk(b"data", numbers.tobytes())))

    samples = read_plain_sound(path, find_plain_sound(path), max_duration_s=600.0, timeout_s=60.0)

    assert np.array_equal(samples * 32768, numbers)


def test_sound_of_exactly_the_limit_is_read(write):
    path = write(PLAIN["nothing_but_sound"])

    samples = read_plain_sound(path, find_plain_sound(path), max_duration_s=0.5, timeout_s=60.0)

    assert samples.size == 8000


def test_sound_beyond_the_limit_is_refused_before_it_is_read(write):
    path = write(PLAIN["nothing_but_sound"])
    sound = find_plain_sound(path)
    path.unlink()

    with pytest.raises(AudioTooLong) as caught:
        read_plain_sound(path, sound, max_duration_s=0.4, timeout_s=60.0)

    assert caught.value.details == {"maximum_s": 0.4}


def test_a_stop_is_heard_between_blocks(write):
    path = write(wav(FORMAT, chunk(b"data", bytes(4 * BLOCK_SAMPLES))))
    answers = iter([False, True])

    with pytest.raises(Stopped):
        read_plain_sound(
            path,
            find_plain_sound(path),
            max_duration_s=600.0,
            timeout_s=60.0,
            should_stop=lambda: next(answers),
        )


def test_a_disk_that_is_too_slow_is_a_passing_fault(write):
    path = write(PLAIN["nothing_but_sound"])

    with pytest.raises(AudioDecodeTimeout):
        read_plain_sound(path, find_plain_sound(path), max_duration_s=60.0, timeout_s=-1.0)


def test_a_file_that_shrank_or_went_meanwhile_is_left_to_the_decoder(write):
    path = write(PLAIN["nothing_but_sound"])

    assert read_plain_sound(path, PlainSound(44, 8001), **LIMITS) is None
    path.unlink()
    assert read_plain_sound(path, PlainSound(44, 8000), **LIMITS) is None
