"""The picture: what every worker did, second by second, while it was attacked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from chaos.faults import Fault
from chaos.lanes import Lane, Outcome

COLOURS = {
    Outcome.COMPLETED: "#2f9e77",
    Outcome.LOST: "#d64545",
    Outcome.RETRIED: "#e8a33d",
    Outcome.RELEASED: "#8a94a6",
    Outcome.OPEN: "#5b8def",
}
FROZEN = "#c9e0f5"
INK = "#24292f"
FAINT = "#d0d7de"
BAR_HEIGHT = 0.62
LABEL_ANGLE = 50  # degrees
LABEL_GAP = 0.0175  # of the axis
# In inches: every lane is as high as in any other picture.
WIDTH_IN = 13.0
LANE_IN = 0.36
LEFT_IN = 1.35
RIGHT_IN = 0.75
HEAD_IN = 1.5  # title and labels
FOOT_IN = 1.05  # axis and legend
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "svg.fonttype": "path",  # looks alike where the font is missing
    "svg.hashsalt": "chaos",  # the same picture twice is the same file
    "axes.edgecolor": FAINT,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@dataclass(frozen=True)
class Picture:
    """What the timeline shows."""

    title: str
    lanes: Sequence[Lane]
    faults: Sequence[Fault]
    start: float  # seconds since the epoch; 0 on the axis
    end: float


def draw(picture: Picture, *paths: Path) -> None:
    """Draw the timeline into every path; the suffix says in which format."""
    with plt.rc_context(STYLE):
        figure = _figure(picture)
        for path in paths:
            kept = {"Date": None} if path.suffix == ".svg" else {}
            figure.savefig(path, dpi=150, facecolor="white", metadata=kept)
        plt.close(figure)


def _figure(picture: Picture) -> Figure:
    body = LANE_IN * len(picture.lanes)
    height = HEAD_IN + body + FOOT_IN
    figure = plt.figure(figsize=(WIDTH_IN, height))
    axes = figure.add_axes(
        (LEFT_IN / WIDTH_IN, FOOT_IN / height, 1 - (LEFT_IN + RIGHT_IN) / WIDTH_IN, body / height)
    )
    for row, lane in enumerate(picture.lanes):
        _draw_bars(axes, row, lane, picture.start)
    for fault in picture.faults:
        _draw_fault(axes, fault, picture)
    _label_faults(axes, picture)
    _dress(axes, picture)
    title_y = 1 - 0.22 / height
    figure.text(0.012, title_y, picture.title, fontsize=11.5, fontweight="bold", va="center")
    _draw_legend(figure, picture, y=0.12 / height)
    return figure


def _draw_bars(axes: Axes, row: int, lane: Lane, start: float) -> None:
    for bar in lane.bars:
        axes.broken_barh(
            [(bar.start - start, bar.end - bar.start)],
            (row - BAR_HEIGHT / 2, BAR_HEIGHT),
            facecolor=COLOURS[bar.outcome],
            edgecolor="white",
            linewidth=0.6,
            zorder=3,
        )
        if bar.is_cut:
            axes.plot(
                bar.end - start, row, marker="x", color=INK, markersize=5, zorder=5, clip_on=False
            )


def _draw_fault(axes: Axes, fault: Fault, picture: Picture) -> None:
    at = fault.at - picture.start
    axes.axvline(at, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), alpha=0.6, zorder=4)
    if fault.thawed_at is None:
        return
    for row, lane in enumerate(picture.lanes):
        if lane.slot == fault.slot:
            axes.broken_barh(
                [(at, fault.thawed_at - fault.at)],
                (row - 0.48, 0.96),
                facecolor=FROZEN,
                hatch="////",
                edgecolor="white",
                linewidth=0,
                zorder=2,
            )


def _label_faults(axes: Axes, picture: Picture) -> None:
    """Write what each line is above it, a little aside where the lines are too close."""
    width = picture.end - picture.start
    places = spread([fault.at - picture.start for fault in picture.faults], width * LABEL_GAP)
    for fault, place in zip(picture.faults, places, strict=True):
        axes.annotate(
            f"{fault.number}  {fault.kind.short}",
            xy=(fault.at - picture.start, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(place, 1.0 + 0.16 / (LANE_IN * len(picture.lanes))),
            textcoords=("data", "axes fraction"),
            rotation=LABEL_ANGLE,
            rotation_mode="anchor",
            ha="left",
            va="center",
            fontsize=8,
            arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.5, "alpha": 0.6,
                        "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0)},
        )  # fmt: skip


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Places in rising order, moved up where one is closer than `gap` to the one before."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    return moved


def _dress(axes: Axes, picture: Picture) -> None:
    axes.set_xlim(0, picture.end - picture.start)
    axes.set_ylim(len(picture.lanes) - 0.5, -0.5)
    axes.set_yticks(range(len(picture.lanes)), [lane_label(lane) for lane in picture.lanes])
    axes.tick_params(axis="both", length=0)
    axes.set_xlabel("seconds since the first submission")
    axes.grid(axis="x", color=FAINT, linewidth=0.6, zorder=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _draw_legend(figure: Figure, picture: Picture, *, y: float) -> None:
    bars = [bar for lane in picture.lanes for bar in lane.bars]
    seen = {bar.outcome for bar in bars}
    handles: list[Artist] = [
        Patch(facecolor=COLOURS[kind], label=kind.value) for kind in Outcome if kind in seen
    ]
    if any(bar.is_cut for bar in bars):
        cut = Line2D([], [], color=INK, marker="x", linestyle="", label="its process was killed")
        handles.append(cut)
    if any(fault.thawed_at for fault in picture.faults):
        frozen = Patch(facecolor=FROZEN, hatch="////", edgecolor="white", label="frozen")
        handles.append(frozen)
    figure.legend(
        handles=handles, loc="lower center", bbox_to_anchor=(0.5, y), ncols=len(handles),
        frameon=False, title="each bar is one attempt of one job", title_fontsize=8,
    )  # fmt: skip


def lane_label(lane: Lane) -> str:
    """How the picture names a lane."""
    if lane.slot is None:
        return "another worker"
    return f"worker {lane.slot + 1}, child {lane.number + 1}"
