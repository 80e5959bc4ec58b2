"""`speed`: transcription by this project's engines and by their peers, side by side."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks.errors import BenchmarkFailed
from benchmarks.machine import describe_machine
from benchmarks.manifest import (
    Recording,
    kind_option,
    limit_option,
    manifest_option,
    read_manifest,
    root_option,
    sample_recordings,
    select,
)
from benchmarks.recordings import server_ffmpeg
from benchmarks.report import json_option, model_option, note
from benchmarks.server import scratch_folder
from benchmarks.speed_plot import draw
from benchmarks.speed_process import side_process
from benchmarks.speed_report import report
from benchmarks.speed_rounds import Plan, run_round, warm_up
from benchmarks.speed_run import GAIN, LONG, SHORT, WORKS, Run
from benchmarks.speed_sides import CONTENDERS, versions_of
from benchmarks.speed_work import (
    Prepared,
    long_ones,
    of_kinds,
    prepare,
    prepare_jobs,
    recording_of,
    samples_over_and_over,
    short_ones,
)
from benchmarks.whisper_process import plain_environment
from config import Settings
from domain.errors import ModelUnavailable
from embedded.process import ROOT
from engines.cpu_share import usable_cores
from engines.weights.ensure import ensure_weights
from scripts.packaged_weights import build_from_packages


@click.command()
@click.option("--sides", multiple=True, type=click.Choice(list(CONTENDERS)),
              default=tuple(CONTENDERS), help="Who takes part; may be repeated.")  # fmt: skip
@click.option("--work", "works", multiple=True, type=click.Choice(WORKS), default=WORKS,
              help="What to measure; may be repeated.")  # fmt: skip
@click.option("--rounds", default=5, type=click.IntRange(1), help="Every side once per round.")
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="The long recording; its words are not known.")  # fmt: skip
@click.option("--seconds", default=600.0,
              help="To cut --file to; or of the project's samples over and over.")  # fmt: skip
@manifest_option
@root_option
@kind_option
@limit_option
@click.option("--short-files", default=40, type=click.IntRange(1), help="Handed over at once.")
@click.option("--threads", type=click.IntRange(1), help="Of each side; all cores without.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto")
@click.option("--batch-size", default=8, type=click.IntRange(1),
              help="Of faster-whisper's batched pipeline.")  # fmt: skip
@click.option("--from-file", is_flag=True, help="Start the clock before a file is decoded.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw an SVG.")
@click.option("--show", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Measure nothing: print and draw what this file of --json holds.")  # fmt: skip
@click.option("--markdown", is_flag=True, help="Print tables as docs/benchmarks.md has them.")
@model_option
@json_option
def speed(
    *, show: Path | None, plot: Path | None, markdown: bool, json_path: Path | None, **asked: Any
) -> None:
    """Speed and word errors of the engines and of their peers, in turns in one run."""
    run = Run.read(show) if show else measured(asked, json_path)
    report(run, as_markdown=markdown)
    if plot:
        draw(run, plot)


def measured(asked: Mapping[str, Any], json_path: Path | None) -> Run:
    """Measure what the options ask for. Raises BenchmarkFailed."""
    contenders = [CONTENDERS[name] for name in dict.fromkeys(asked["sides"])]
    threads = asked["threads"] or usable_cores()
    settings = {
        name: asked[name] for name in ("model_size", "device", "batch_size", "from_file")
    } | {"threads": threads}
    run = Run(describe_machine(), settings, versions_of(contenders), json_path=json_path)
    with scratch_folder() as folder, ExitStack() as exits:
        plan = make_plan(asked, folder)
        run.recordings = {
            work: [{"name": item.recording.name, "audio_s": item.audio_s} for item in prepared]
            for work, prepared in plan.works.items()
        }
        order = {
            **{name: settings[name] for name in ("model_size", "threads", "device", "batch_size")},
            "model_dir": str(have_weights(asked["model_size"])),
            "ffmpeg": str(server_ffmpeg()),
        }
        environment = plain_environment(folder)
        sides = {
            contender.name: exits.enter_context(
                side_process({**order, "side": contender.name}, environment)
            )
            for contender in contenders
        }
        run.devices = {name: side.device for name, side in sides.items()}
        warm_up(sides)
        for number in range(asked["rounds"]):
            run_round(run, plan, sides, number)
    return run


def have_weights(model_size: str) -> Path:
    """The folder of the weights, fetched now where they are absent. Raises BenchmarkFailed."""
    folder = (ROOT / Settings().model_path).resolve()
    try:
        build = partial(build_from_packages, on_progress=note)
        ensure_weights(model_size, folder, build=build, on_progress=note)
    except ModelUnavailable as error:
        raise BenchmarkFailed(error.message) from error
    return folder


def make_plan(asked: Mapping[str, Any], folder: Path) -> Plan:
    """Choose and decode the recordings. Raises BenchmarkFailed."""
    works, manifest = set(asked["works"]), asked["manifest"]
    chosen: list[Recording] = []
    if manifest:
        chosen = of_kinds(read_manifest(manifest, asked["root"]), asked["kinds"])
        chosen = select(chosen, per_kind=asked["limit"], max_duration_s=None)
    prepared: dict[str, list[Prepared]] = {}
    if works & {LONG, GAIN}:
        if asked["file"]:
            found = [recording_of(asked["file"], folder, asked["seconds"])]
        elif manifest:
            found = long_ones(chosen)
        else:
            found = [samples_over_and_over(folder, asked["seconds"])]
        prepared[LONG] = prepare(found, folder / LONG)
    if SHORT in works:
        short = short_ones(chosen if manifest else sample_recordings(), asked["short_files"])
        prepared[SHORT] = prepare(short, folder / SHORT)
    jobs = prepare_jobs(prepared[LONG][0], folder) if GAIN in works else []
    heard = {work: prepared[work] for work in prepared if work in works}
    return Plan(heard, jobs, is_decoded=not asked["from_file"])
