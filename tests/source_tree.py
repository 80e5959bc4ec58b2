"""The project's own Python files, for the tests that read them."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def python_files(folder: Path = ROOT) -> Iterator[Path]:
    """Every Python file below the folder, hidden folders (.venv, .data) left out."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith((".", "__")):
            yield from python_files(path)
        elif path.suffix == ".py":
            yield path
