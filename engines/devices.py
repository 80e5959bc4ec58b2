"""Where to load models, from what was chosen and what answers."""

from domain.errors import ConfigurationError


def devices_for(chosen: str, *, has_gpu: bool) -> list[str]:
    """The chosen device (WHISPER_DEVICE), and behind a GPU the CPU; best first.

    Raises ConfigurationError where a GPU was chosen and none answers.
    """
    if chosen == "auto":
        return ["cuda:0", "cpu"] if has_gpu else ["cpu"]
    if chosen == "cpu":
        return ["cpu"]
    if not has_gpu:
        raise ConfigurationError(f"WHISPER_DEVICE is {chosen}, but no GPU answers")
    return ["cuda:0" if chosen == "cuda" else chosen, "cpu"]
