"""Facts about the published models that are needed before one is loaded."""

from domain.options import MODEL_ALIASES

# Millions of parameters, from the model card; an English-only twin is as large.
PARAMETERS_M = {
    "tiny": 38,
    "base": 73,
    "small": 242,
    "medium": 764,
    "turbo": 809,
    "large-v1": 1543,
    "large-v2": 1543,
    "large-v3": 1543,
}
MIB = 1024 * 1024

# Turbo is no rung: it was not trained to translate, and medium is smaller still.
SMALLER = {
    "large-v3": "medium",
    "large-v2": "medium",
    "large-v1": "medium",
    "turbo": "medium",
    "medium": "small",
    "small": "base",
    "base": "tiny",
}


def weights_mb(model_size: str, *, bytes_per_weight: int) -> float:
    """Memory of a model's weights in MiB."""
    size = MODEL_ALIASES.get(model_size, model_size).removesuffix(".en")
    return PARAMETERS_M[size] * 1e6 * bytes_per_weight / MIB


def smaller_sizes(model_size: str) -> list[str]:
    """Smaller models of the same kind, the largest first; English-only stays English-only."""
    suffix = ".en" if model_size.endswith(".en") else ""
    size: str | None = model_size.removesuffix(suffix)
    found = []
    while (size := SMALLER.get(size or "")) is not None:
        found.append(size + suffix)
    return found
