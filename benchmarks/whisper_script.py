"""The plain script to compare with: openai-whisper's own `transcribe`, and nothing around it.

    python -m benchmarks.whisper_script MODEL_SIZE MODEL_DIR THREADS [OPTIONS]

The model is loaded first. Then every line of standard input is a JSON string, the path of a
recording, and every line of standard output what became of it. OPTIONS is a JSON object of
keyword arguments for `transcribe`.
"""

import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from time import perf_counter

import torch
import whisper

SEED = 0  # as in the server's engine: temperatures above 0 draw


def main(arguments: Sequence[str]) -> None:
    """Answer until standard input ends."""
    model_size, model_dir, threads = arguments[:3]
    options = json.loads(arguments[3]) if len(arguments) > 3 else {}  # noqa: PLR2004
    warnings.filterwarnings("ignore", message="FP16 is not supported on CPU")
    torch.set_num_threads(int(threads))
    model = whisper.load_model(model_size, download_root=model_dir)
    answer({"device": str(model.device), "threads": torch.get_num_threads()})
    for line in sys.stdin:
        answer(transcribe(model, json.loads(line), options))


def transcribe(model: whisper.Whisper, path: str, options: dict[str, object]) -> dict[str, object]:
    """The text and the seconds it took, decoding included; or the error's name."""
    torch.manual_seed(SEED)
    started_at = perf_counter()
    try:
        result = whisper.transcribe(model, path, **options)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this side's answer
        return {"error": f"{type(error).__name__}: {str(error)[-200:]}"}
    wall_s = perf_counter() - started_at
    return {"text": result["text"], "language": result["language"], "wall_s": wall_s}


def answer(content: Mapping[str, object]) -> None:
    """Write one line and let it go at once."""
    print(json.dumps(content), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
