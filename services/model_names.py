"""Which of our models a name of another API stands for, and which names this server answers to."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from config import Settings
from domain.errors import OptionInvalid
from domain.options import MODEL_ALIASES, MODEL_SIZES, canonical_model
from engines.weights.catalog import official_weights

SHOWN_CHARS = 40  # of a client's own value, repeated in a message


@dataclass(frozen=True)
class ModelName:
    """One name that a request may give, and what stands behind it."""

    name: str
    model_size: str
    is_installed: bool  # here: a worker on another machine may have what this one lacks
    installed_at: int  # unix seconds; 0 where the weights are not here


def model_for(
    settings: Settings, name: str, known: Collection[str], *, option: str = "model"
) -> str:
    """The size that a request's name of a model means.

    Our own names mean themselves, then MODEL_ALIASES is asked; a name in `known`, those of
    the hosted models of an API, means the server's default model. Raises OptionInvalid that
    names the field `option` for any other.
    """
    key = name.strip().lower()
    if key in MODEL_SIZES:
        return canonical_model(key)
    if key in settings.aliases:
        return settings.aliases[key]
    if key in known:
        return canonical_model(settings.model_size)
    allowed = sorted({*MODEL_SIZES, *settings.aliases, *known})
    raise OptionInvalid(
        f"there is no model {name[:SHOWN_CHARS]!r} here",
        option=option,
        value=name[:SHOWN_CHARS],
        allowed=allowed,
    )


def list_names(settings: Settings, known: Collection[str]) -> list[ModelName]:
    """Every name that `model_for` takes: first our own from small to large, then the others."""
    sizes = [size for size in MODEL_SIZES if size not in MODEL_ALIASES]
    others = sorted({*MODEL_ALIASES, *settings.aliases, *known})
    return [*_named(settings, sizes, known), *_named(settings, others, known)]


def find_name(settings: Settings, name: str, known: Collection[str]) -> ModelName:
    """One name with what stands behind it. Raises OptionInvalid as `model_for`."""
    model_for(settings, name, known)
    return next(_named(settings, [name.strip().lower()], known))


def _named(
    settings: Settings, names: Collection[str], known: Collection[str]
) -> Iterator[ModelName]:
    for name in names:
        size = model_for(settings, name, known)
        path = settings.model_path / official_weights(size).file_name
        try:
            installed_at = int(path.stat().st_mtime)
        except OSError:  # not fetched yet, or a folder that this process may not look into
            installed_at = 0
        yield ModelName(name, size, installed_at > 0, installed_at)
