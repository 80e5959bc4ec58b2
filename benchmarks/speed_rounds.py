"""The rounds of `speed`: who hears what, when, and what comes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.manifest import Recording
from benchmarks.report import note
from benchmarks.speed_process import Answer, SideProcess
from benchmarks.speed_run import GAIN, LONG, Run
from benchmarks.speed_sides import CONTENDERS
from benchmarks.speed_turns import Gain, Turn, in_turn
from benchmarks.speed_work import GAIN_S, Prepared
from benchmarks.word_errors import WordErrors, count_word_errors
from scripts.samples import sample_path


@dataclass(frozen=True)
class Plan:
    """What everybody hears."""

    works: Mapping[str, Sequence[Prepared]]
    jobs: Sequence[Path]  # samples of each; none where nobody measures the gain
    is_decoded: bool  # the clock starts with samples in memory


def warm_up(sides: Mapping[str, SideProcess]) -> None:
    """Let every side hear a recording of two windows, as a file: nobody times it."""
    sample = sample_path()
    for name, side in sides.items():
        answer = side.transcribe_all([sample], is_decoded=False)
        note(f"{name} is warm on {side.device}: {answer.wall_s:.1f} s")


def run_round(run: Run, plan: Plan, sides: Mapping[str, SideProcess], number: int) -> None:
    """Every side through every work, never two at the same time; who begins moves on."""
    for work, prepared in plan.works.items():
        for name in in_turn(list(sides), number):
            # A long recording is a request of its own; short ones are all there at once.
            groups = [[item] for item in prepared] if work == LONG else [prepared]
            turn = take_turn(sides[name], groups, is_decoded=plan.is_decoded)
            run.add_turn(work, name, turn)
            note(f"round {number + 1}, {work}, {name}: {turn.rtfx:.1f} RTFx")
    if plan.jobs:
        for name in sides:
            if CONTENDERS[name].may_gain:
                gain = measure_gain(sides[name], plan.jobs, together_first=number % 2 == 1)
                run.add_gain(name, gain)
                note(f"round {number + 1}, {GAIN}, {name}: {gain.ratio:.2f}")


def take_turn(side: SideProcess, groups: Sequence[Sequence[Prepared]], *, is_decoded: bool) -> Turn:
    """One side through groups of recordings, group after group. Raises BenchmarkFailed."""
    answers = [
        side.transcribe_all([item.path(is_decoded=is_decoded) for item in group],
                            is_decoded=is_decoded)
        for group in groups
    ]  # fmt: skip
    heard = [item for group in groups for item in group]
    texts = [text for answer in answers for text in answer.texts]
    return Turn(
        audio_s=sum(item.audio_s for item in heard),
        wall_s=sum(answer.wall_s for answer in answers),
        cpu_s=sum(answer.cpu_s for answer in answers),
        counts=count_all([item.recording for item in heard], texts),
        timings_s=total_timings(answers),
    )


def count_all(recordings: Sequence[Recording], texts: Sequence[str]) -> WordErrors | None:
    """Errors over all recordings; None where no words are known."""
    counts = [
        count_word_errors(recording.text, text, recording.language)
        for recording, text in zip(recordings, texts, strict=True)
        if recording.text
    ]
    return sum(counts, start=WordErrors()) if counts else None


def total_timings(answers: Sequence[Answer]) -> dict[str, float]:
    """Seconds by stage over all answers."""
    stages = dict.fromkeys(stage for answer in answers for stage in answer.timings_s)
    return {stage: sum(a.timings_s.get(stage, 0.0) for a in answers) for stage in stages}


def measure_gain(side: SideProcess, jobs: Sequence[Path], *, together_first: bool) -> Gain:
    """The same jobs at once and one by one. Raises BenchmarkFailed."""

    def at_once() -> list[Answer]:
        return [side.transcribe_all(jobs, is_decoded=True)]

    def one_by_one() -> list[Answer]:
        return [side.transcribe_all([job], is_decoded=True) for job in jobs]

    if together_first:
        together, apart = at_once(), one_by_one()
    else:
        apart, together = one_by_one(), at_once()
    pairs = zip(together[0].texts, (answer.texts[0] for answer in apart), strict=True)
    return Gain(
        jobs=len(jobs),
        audio_s=float(GAIN_S * len(jobs)),
        apart_s=sum(answer.wall_s for answer in apart),
        together_s=together[0].wall_s,
        differing=sum(one != other for one, other in pairs),
    )
