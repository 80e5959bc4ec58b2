"""Where to load models, from what was chosen and what answers."""

from domain.errors import ConfigurationError


def devices_for(chosen: str, *, gpus: int) -> list[str]:
    """The chosen devices (WHISPER_DEVICE), and behind GPUs the CPU; best first.

    Raises ConfigurationError where a GPU was chosen and none answers.
    """
    if chosen == "cpu" or (chosen == "auto" and not gpus):
        return ["cpu"]
    if not gpus:
        raise ConfigurationError(f"WHISPER_DEVICE is {chosen}, but no GPU answers")
    if chosen in ("auto", "cuda"):
        return [*(f"cuda:{number}" for number in range(gpus)), "cpu"]
    return [chosen, "cpu"]
