"""Tables of a run of `gpu`."""

from typing import Any

import click

from benchmarks.gpu_run import GpuRun, table

RATE_COLUMNS = (
    "model",
    "side",
    "batch",
    "RTFx",
    "lowest",
    "highest",
    "ours over it",
    "encoder ms/window",
    "step ms",
    "peak MiB",
)


def report(run: GpuRun) -> None:
    """Print everything that was found out."""
    facts = run.facts
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items() if number)
    click.echo(f"{facts['device']}, {facts['driver'] or 'no driver'}, CUDA {facts['cuda']}")
    click.echo(f"{versions}, revision {facts['revision']}, {facts['at']}")
    click.echo(table("Rates", RATE_COLUMNS, rate_rows(run.results)))
    others = [
        (name, key, value)
        for name, result in run.results.items()
        if isinstance(result, dict)
        for key, value in result.items()
        if key != "rounds_s"
    ]
    click.echo(table("Checks and parts", ("part", "figure", "value"), others))
    if run.errors:
        click.echo(table("Failed", ("part", "reason"), list(run.errors.items())))
    if run.skipped:
        click.echo(f"\nNo time for: {', '.join(run.skipped)}")


def rate_rows(results: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Rows of all sides, by model and batch, each beside how much faster ours is."""
    rates = [
        (_model_in(name), row)
        for name, result in results.items()
        if isinstance(result, list)
        for row in result
    ]
    ours = {(model, row["batch"]): row["rtfx"] for model, row in rates if row["side"] == "ours"}
    rows = []
    for model, row in sorted(rates, key=lambda rate: (rate[0], -rate[1]["batch"])):
        best = ours.get((model, row["batch"]))
        ratio = best / row["rtfx"] if best and row["side"] != "ours" else None
        rows.append(
            (
                *(model, row["side"], row["batch"], row["rtfx"], row["rtfx_low"]),
                *(row["rtfx_high"], ratio, row.get("encode_ms_per_window")),
                *(row.get("step_ms"), row.get("peak_mb")),
            )
        )
    return rows


def _model_in(part: str) -> str:
    return "turbo" if "turbo" in part else "large-v3"
