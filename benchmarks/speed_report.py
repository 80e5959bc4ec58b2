"""Tables of what `speed` measured."""

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.report import show_table
from benchmarks.speed_run import GAIN, LONG, SHORT, Run
from benchmarks.speed_sides import CAREFUL, CONTENDERS, OURS
from benchmarks.speed_turns import Gain, Standing, median_gain

COLUMNS = ("side", "RTFx", "lowest", "highest", "WER %", "CPU s", "time / ours", "wanted")
GAIN_COLUMNS = ("side", "apart s", "together s", "ratio", "lowest", "highest", "other text")
GAIN_WANTED = {"cpu": 1.3, "cuda": 3.0}
UNKNOWN = "-"


def report(run: Run, *, as_markdown: bool = False) -> None:
    """Print a table per work."""
    for work in run.turns:
        rows = [row_of(name, each, run) for name, each in run.standings(work).items()]
        show(title_of(run, work), COLUMNS, rows, run, as_markdown=as_markdown)
    if run.gains:
        rows = [gain_row(name, gains) for name, gains in run.gains.items()]
        show(gain_title(run), GAIN_COLUMNS, rows, run, as_markdown=as_markdown)


def show(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    run: Run,
    *,
    as_markdown: bool,
) -> None:
    """Print one table for people, or to be pasted into a page."""
    if as_markdown:
        print("\n".join(markdown_lines(title, columns, rows)))
    else:
        show_table(title, columns, rows, run.machine)


def markdown_lines(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A paragraph and a table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return [f"{title}:", "", *(f"| {' | '.join(line)} |" for line in lines), ""]


def row_of(name: str, each: Standing, run: Run) -> tuple[str, ...]:
    """One side's line."""
    contender = CONTENDERS[name]
    is_target = contender.wanted is not None and is_on_cpu(run) and OURS.name in run.devices
    return (
        contender.title,
        *(f"{value:.1f}" for value in (each.rtfx, each.lowest, each.highest)),
        percent(each.wer_percent),
        f"{each.cpu_s:.1f}",
        f"{each.ratio:.2f}",
        f"{contender.wanted}" if is_target else "",
    )


def percent(value: float | None) -> str:
    """A rate with two digits, or a dash."""
    return UNKNOWN if value is None else f"{value:.2f}"


def title_of(run: Run, work: str) -> str:
    """What was heard, how often, and which word error rate is wanted of ours."""
    recordings, settings = run.recordings[work], run.settings
    audio_s = sum(recording["audio_s"] for recording in recordings)
    heard = {
        LONG: f"{len(recordings)} long, one at a time",
        SHORT: f"{len(recordings)} short, all at once",
    }[work]
    rounds = min(len(done) for done in run.turns[work].values())
    start = "files" if settings["from_file"] else "samples"
    title = (
        f"Recordings: {heard}, {audio_s:.0f} s; {settings['model_size']}, "
        f"{settings['threads']} threads, from {start}, medians of {rounds}"
    )
    limit = wanted_percent(run.standings(work))
    return title if limit is None else f"{title} (wanted: at most {limit:.2f}% WER)"


def wanted_percent(stands: Mapping[str, Standing]) -> float | None:
    """The better word error rate of the careful sides that took part."""
    rates = [stands[side.name].wer_percent for side in CAREFUL if side.name in stands]
    return min((rate for rate in rates if rate is not None), default=None)


def gain_title(run: Run) -> str:
    """How many jobs, and the ratio that is wanted."""
    gain = next(iter(run.gains.values()))[0]
    wanted = GAIN_WANTED["cpu" if is_on_cpu(run) else "cuda"]
    return (
        f"{gain.jobs} jobs of {gain.audio_s / gain.jobs:.0f} s one at a time over all {GAIN}, "
        f"{run.settings['model_size']} (wanted: at least {wanted})"
    )


def gain_row(name: str, gains: Sequence[Gain]) -> tuple[str, ...]:
    """One side's line: the round in the middle of the ratios, and the ratios' range."""
    ratios = [gain.ratio for gain in gains]
    middle = sorted(gains, key=lambda gain: gain.ratio)[(len(gains) - 1) // 2]
    return (
        CONTENDERS[name].title,
        f"{middle.apart_s:.2f}",
        f"{middle.together_s:.2f}",
        *(f"{value:.2f}" for value in (median_gain(gains), min(ratios), max(ratios))),
        str(max(gain.differing for gain in gains)),
    )


def is_on_cpu(run: Run) -> bool:
    """Whether the sides ran on the CPU."""
    return all(device == "cpu" for device in run.devices.values())
