"""What a decoding lost, as warnings for the reader of the transcript."""

from dataclasses import dataclass

from domain.transcript import Warning_

# Encoders pad and headers round: a shortfall below this is no loss.
TRUNCATED_S = 1.0
TRUNCATED_SHARE = 0.02
DAMAGE_S = 0.25  # with complaints of the decoder beside it, less is enough


@dataclass(frozen=True)
class DecodeFacts:
    """What the decision rests on. Times in seconds."""

    decoded_s: float
    expected_s: float | None = None  # None: nothing is known
    bad_samples: int = 0  # of no finite value, silenced
    was_repaired: bool = False  # by the lenient pass
    is_cut_off: bool = False  # nothing but the end is missing, as when a recorder stopped
    is_open_ended: bool = False  # the header leaves the length open, so the end is no loss
    has_complaints: bool = False  # of ffmpeg, in the pass that counts


def describe_loss(facts: DecodeFacts) -> tuple[Warning_, ...]:
    """The warnings that these facts call for; none for a clean decoding."""
    found = []
    loss = _lost_time(facts)
    if loss:
        found.append(loss)
    if facts.bad_samples:
        found.append(
            Warning_(
                "audio_damaged",
                f"{facts.bad_samples} samples of the recording held no number and were silenced",
            )
        )
    return tuple(found)


def _lost_time(facts: DecodeFacts) -> Warning_ | None:
    missing_s = 0.0 if facts.expected_s is None else facts.expected_s - facts.decoded_s
    limit_s = max(TRUNCATED_S, TRUNCATED_SHARE * (facts.expected_s or 0.0))
    if facts.is_cut_off and facts.is_open_ended and missing_s <= limit_s:
        return None
    if facts.is_cut_off or (missing_s > limit_s and not facts.was_repaired):
        return Warning_("audio_truncated", f"the recording is cut off: {_of(facts)}")
    if facts.was_repaired or (facts.has_complaints and missing_s > DAMAGE_S):
        return Warning_("audio_damaged", f"the recording is damaged: {_of(facts)}")
    return None


def _of(facts: DecodeFacts) -> str:
    decoded = f"{facts.decoded_s:.1f} s of sound could be decoded"
    if facts.expected_s is None:
        return f"{decoded}; how long it should be is not known"
    return f"{decoded} of the {facts.expected_s:.1f} s that were expected"
