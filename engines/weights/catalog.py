"""What openai-whisper publishes: for each model name an address, a file name and a SHA-256."""

import ast
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from domain.errors import ConfigurationError
from domain.options import MODEL_ALIASES, MODEL_SIZES, canonical_model

# Registry packages carry these four (scripts/packaged_weights.py), so that they can be had
# where the official address is out of reach.
PACKAGED_SIZES = ("tiny", "tiny.en", "base", "base.en")

DISTINCT_SIZES = tuple(size for size in MODEL_SIZES if size not in MODEL_ALIASES)


@dataclass(frozen=True)
class OfficialWeights:
    """One published checkpoint."""

    model_size: str
    url: str

    @property
    def file_name(self) -> str:
        """The name under which openai-whisper looks for it in its download folder."""
        return self.url.rsplit("/", 1)[1]

    @property
    def sha256(self) -> str:
        """The sum in hexadecimal; openai-whisper keeps it as a folder of the address."""
        return self.url.rsplit("/", 2)[1]


def official_weights(model_size: str) -> OfficialWeights:
    """Look a name or alias up. Raises OptionInvalid, ConfigurationError."""
    size = canonical_model(model_size)
    return OfficialWeights(size, _addresses()[size])


@lru_cache(maxsize=1)
def _addresses() -> dict[str, str]:
    # Read from the source text: importing whisper would load torch, which takes seconds
    # and hundreds of megabytes in a process that only lists files.
    spec = find_spec("whisper")
    if spec is None or spec.origin is None:
        raise ConfigurationError("openai-whisper is not installed")
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_MODELS":
            table: dict[str, str] = ast.literal_eval(node.value)
            return table
    raise ConfigurationError("this openai-whisper has no table of models: install the pinned one")
