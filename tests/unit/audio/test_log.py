from audio.log import MAX_LINE_BYTES, FfmpegLog

OLD_HEADER = b"""\
[mp3 @ 0x1e895440] [warning] filesize and duration do not match (growing file?)
[info] Input #0, mp3, from 'file:/data/uploads/3f':
[info]   Metadata:
[info]     encoder         : Lavf59.27.100
[info]   Duration: 01:02:17.35, start: 0.069063, bitrate: 32 kb/s
[info]   Stream #0:0: Audio: mp3, 44100 Hz, stereo, fltp, 128 kb/s
[info]   Stream #0:1: Video: png, rgb24(pc), 64x64, 90k tbr, 90k tbn (attached pic)
[info] Stream mapping:
[info]   Stream #0:0 -> #0:0 (mp3 (mp3float) -> pcm_f32le (native))
[Parsed_ashowinfo_0 @ 0x1e89] [info] n:0 pts:0 pts_time:0 pos:253 fmt:fltp channels:2 \
chlayout:stereo rate:44100 nb_samples:47 checksum:F86DBD6C plane_checksums: [ 335D5EB6 ]
[info] Output #0, f32le, to 'pipe:':
[info]   Duration: 00:00:09.00
[info]   Stream #0:0: Audio: pcm_f32le, 16000 Hz, mono, flt, 512 kb/s
"""

NEW_HEADER = b"""\
[in#0/aac @ 0x55fd48c55300] [warning] Estimating duration from bitrate, this may be inaccurate
[info] Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'file:/data/uploads/3f':
[info]   Duration: 00:00:16.61, bitrate: 68 kb/s
[info]   Stream #0:0[0x1](und): Video: h264 (High) (avc1 / 0x31637661), yuv420p, 64x64
[info]   Stream #0:1[0x2](und): Audio: aac (LC) (mp4a / 0x6134706D), 16000 Hz, mono, fltp
[aist#0:1/aac @ 0x55ece] [dec:aac @ 0x55ecce444500] [error] Error submitting packet to decoder
[in#0/wav @ 0x55e69d702000] [fatal] corrupt input packet in stream 0
"""


def read(data: bytes) -> FfmpegLog:
    log = FfmpegLog()
    log.feed(data)
    return log


def test_the_header_of_an_old_ffmpeg_is_understood():
    log = read(OLD_HEADER)

    assert (log.container, log.codec, log.duration_s) == ("mp3", "mp3", 3737.35)
    assert (log.channels, log.sample_rate_hz) == (2, 44100)


def test_the_header_of_a_new_ffmpeg_is_understood():
    log = read(NEW_HEADER)

    assert (log.container, log.codec) == ("mov,mp4,m4a,3gp,3g2,mj2", "aac")
    assert log.duration_s == 16.61
    assert log.is_duration_estimated


def test_a_cover_picture_is_no_video_and_a_film_is():
    cover, film = read(OLD_HEADER), read(NEW_HEADER)

    assert (cover.has_video, film.has_video) == (False, True)


def test_only_errors_are_complaints_whatever_stands_in_front_of_them():
    log = read(NEW_HEADER)

    assert list(log.complaints) == [
        "Error submitting packet to decoder",
        "corrupt input packet in stream 0",
    ]


def test_bytes_may_arrive_in_pieces_of_any_size():
    log = FfmpegLog()

    for index in range(len(OLD_HEADER)):
        log.feed(OLD_HEADER[index : index + 1])

    assert (log.codec, log.duration_s, log.channels) == ("mp3", 3737.35, 2)


def test_a_tag_cannot_pose_as_a_duration():
    tag = b"[info]     title           : x\n[info]                     :   Duration: 99:00:00.00\n"

    log = read(b"[info] Input #0, mp3, from 'x':\n" + tag)

    assert log.duration_s is None


def test_no_duration_is_none():
    log = read(b"[info] Input #0, wav, from 'x':\n[info]   Duration: N/A, bitrate: 256 kb/s\n")

    assert log.duration_s is None


def test_endless_lines_and_endless_complaints_take_bounded_memory():
    log = FfmpegLog()

    log.feed(b"[error] first\n" + b"[error] again\n" * 10_000)
    for _ in range(1000):
        log.feed(b"x" * 10_000)

    assert log.first_complaint == "first"
    assert len(log.complaints) < 100
    assert len(log._rest) <= MAX_LINE_BYTES
