"""What the reader of an answer must know beside its text."""

from domain.transcript import Transcript, Warning_


def notes_of(transcript: Transcript) -> list[Warning_]:
    """The warnings; before them, as `fallback_RUNG`, how the job had to give way to memory."""
    rungs = (Warning_(f"fallback_{each.rung}", each.reason) for each in transcript.fallbacks)
    return [*rungs, *transcript.warnings]
