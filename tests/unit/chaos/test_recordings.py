import wave

from chaos.recordings import MAX_S, MIN_S, Cut, plan_cuts, write_cut

DURATIONS_S = {"long.wav": 44.0, "short.wav": 3.0, "too_short.wav": 2.9}


def test_the_pieces_follow_from_the_seed():
    assert plan_cuts(1, 20, DURATIONS_S) == plan_cuts(1, 20, DURATIONS_S)
    assert plan_cuts(1, 20, DURATIONS_S) != plan_cuts(2, 20, DURATIONS_S)


def test_the_pieces_have_the_wanted_lengths_and_lie_within_their_recordings():
    cuts = plan_cuts(5, 200, DURATIONS_S)

    for cut in cuts:
        assert MIN_S <= cut.length_s <= MAX_S
        assert 0 <= cut.start_s <= DURATIONS_S[cut.sample] - cut.length_s + 0.01
    assert {cut.sample for cut in cuts} == {"long.wav", "short.wav"}
    assert len({cut.name for cut in cuts}) == 200


def test_a_piece_holds_the_samples_of_its_span(tmp_path):
    source = tmp_path / "ramp.wav"
    with wave.open(str(source), "wb") as stream:
        stream.setparams((1, 2, 1000, 0, "NONE", ""))
        stream.writeframes(b"".join(n.to_bytes(2, "little") for n in range(10_000)))

    path = write_cut(Cut(3, "ramp.wav", start_s=2.5, length_s=1.0), source, tmp_path)

    assert path.name == "speech03.wav"
    with wave.open(str(path)) as stream:
        frames = stream.readframes(stream.getnframes())
    assert len(frames) == 2 * 1000
    assert frames[:2] == (2500).to_bytes(2, "little")
