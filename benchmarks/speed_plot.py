"""The picture of `speed`: how fast every side is, and how many words it gets wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.speed_run import LONG, Run
from benchmarks.speed_sides import CONTENDERS
from benchmarks.speed_turns import Standing

# Colour and sign: the sign of a bar is that of its point.
LOOKS = {
    "ours": ("#12805c", "o"),
    "ours-8": ("#2c8f6a", "p"),
    "ours-4": ("#55a886", "h"),
    "ours-2": ("#7fc2a5", "d"),
    "ours-ctranslate2": ("#4fb28f", "s"),
    "ours-sequential": ("#9ad3bd", "D"),
    "whisper": ("#59636e", "X"),
    "fw-batched": ("#3767d6", "^"),
    "fw-batched-greedy": ("#8aabf2", "v"),
    "fw-sequential": ("#d9822b", "<"),
    "fw-sequential-greedy": ("#efb97c", ">"),
}
INK = "#24292f"
FAINT = "#d0d7de"
PAPER = "#ffffff"  # opaque: read on a dark page as on a light one
SIGN_AREA = 62  # square points
# In inches: every bar is as high as in any other picture.
WIDTH_IN = 13.0
BAR_IN = 0.36
HEAD_IN = 0.55  # title
FOOT_IN = 0.6  # axis
MIN_BODY_IN = 2.4
MINUTES_FROM_S = 180.0
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "svg.fonttype": "path",  # looks alike where the font is missing
    "svg.hashsalt": "speed",  # the same picture twice is the same file
    "axes.edgecolor": FAINT,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def draw(run: Run, path: Path) -> None:
    """Draw a row per work: speed as bars, word errors against speed as points."""
    stands = {work: run.standings(work) for work in run.turns}
    with plt.rc_context(STYLE):
        figure = _figure(run, stands)
        kept = {"Date": None} if path.suffix == ".svg" else {}
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150, facecolor=PAPER, metadata=kept)
        plt.close(figure)


def _figure(run: Run, stands: Mapping[str, Mapping[str, Standing]]) -> Figure:
    bodies = [max(MIN_BODY_IN, BAR_IN * len(sides)) for sides in stands.values()]
    height = sum(bodies) + (HEAD_IN + FOOT_IN) * len(bodies)
    figure = plt.figure(figsize=(WIDTH_IN, height))
    top = height
    for (work, sides), body in zip(stands.items(), bodies, strict=True):
        bottom = (top - HEAD_IN - body) / height
        bars = figure.add_axes((0.205, bottom, 0.325, body / height))
        points = figure.add_axes((0.6, bottom, 0.375, body / height))
        _draw_bars(bars, sides)
        _draw_points(points, sides)
        title_y = 1 - (height - top + 0.3) / height
        figure.text(0.012, title_y, title_of(run, work), fontsize=11.5, fontweight="bold")
        top -= HEAD_IN + body + FOOT_IN
    return figure


def title_of(run: Run, work: str) -> str:
    """What was heard, on what."""
    recordings = run.recordings[work]
    audio_s = sum(recording["audio_s"] for recording in recordings)
    length = f"{audio_s / 60:.0f} min" if audio_s >= MINUTES_FROM_S else f"{audio_s:.0f} s"
    kind = "long recording" if work == LONG else "short recording"
    count = f"{len(recordings)} {kind}{'s' * (len(recordings) != 1)}"
    machine = run.machine.gpu or f"{run.settings['threads']} threads of {run.machine.cpu}"
    return f"{count}, {length}, {run.settings['model_size']}, {machine}"


def _draw_bars(axes: Axes, sides: Mapping[str, Standing]) -> None:
    _dress(axes, "seconds of audio per second (median, lowest to highest)", grid="x")
    for row, (name, each) in enumerate(sides.items()):
        colour, _ = LOOKS[name]
        reach = [[each.rtfx - each.lowest], [each.highest - each.rtfx]]
        axes.barh(row, each.rtfx, 0.62, color=colour, zorder=3)
        axes.errorbar(each.rtfx, row, xerr=reach, color=INK, capsize=2.5, linewidth=0.9, zorder=4)
        axes.annotate(
            f"{each.rtfx:.1f}", (each.highest, row), (5, 0), textcoords="offset points",
            va="center", fontsize=8,
        )  # fmt: skip
        _draw_sign(axes, name, -0.03, row, transform=axes.get_yaxis_transform())
    axes.set_yticks(range(len(sides)), [CONTENDERS[name].title for name in sides])
    axes.tick_params(axis="y", pad=18)  # room for the signs
    axes.set_ylim(len(sides) - 0.5, -0.5)
    axes.set_xlim(0, 1.12 * max(each.highest for each in sides.values()))


def _draw_points(axes: Axes, sides: Mapping[str, Standing]) -> None:
    _dress(axes, "seconds of audio per second", grid="both")
    axes.set_ylabel("word error rate, %")
    rates = [each.wer_percent for each in sides.values() if each.wer_percent is not None]
    if not rates:
        axes.text(0.5, 0.5, "its words are not known", transform=axes.transAxes, ha="center")
        return
    for name, each in sides.items():
        if each.wer_percent is not None:
            _draw_sign(axes, name, each.rtfx, each.wer_percent)
    margin = 0.15 * (max(rates) - min(rates)) or 1.0
    axes.set_ylim(max(min(rates) - margin, -0.3 * margin), max(rates) + margin)
    axes.set_xlim(0, 1.08 * max(each.rtfx for each in sides.values()))


def _draw_sign(axes: Axes, name: str, x: float, y: float, **options: Any) -> None:
    colour, marker = LOOKS[name]
    axes.scatter(
        x, y, s=SIGN_AREA, color=colour, marker=marker, edgecolor=INK, linewidth=0.6,
        zorder=5, clip_on=False, **options,
    )  # fmt: skip


def _dress(axes: Axes, label: str, *, grid: Literal["x", "both"]) -> None:
    axes.set_xlabel(label)
    axes.tick_params(axis="both", length=0)
    axes.grid(axis=grid, color=FAINT, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
