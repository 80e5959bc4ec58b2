"""Official weights as CTranslate2 reads them."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import tokenizers
from whisper.tokenizer import get_tokenizer

from domain.errors import ModelUnavailable
from engines.weights.bpe_file import bpe_file
from engines.weights.catalog import official_weights
from engines.weights.checkpoint import write_checkpoint
from engines.weights.ctranslate2_file import read_ctranslate2
from engines.weights.ctranslate2_model import convert, ensure_ctranslate2
from engines.weights.store import sha256_of
from tests.real_models import real_weights

# Of Systran/faster-whisper-base: alignment heads, languages, suppressed tokens.
PUBLISHED_CONFIG = "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"

TEXTS = [
    "Hello, world!  It's 12,345 o'clock.\n\n tab\t x",
    " Straße über Ärger, naïve café\u00a0é",
    "日本語テキスト مرحبا ไทย 🎤🙂",
    "don't I'LL they've 1234567 ___ -- «»",
    "",
]


@pytest.fixture
def tiny(tmp_path):
    """The official file in a folder of its own."""
    official = real_weights("tiny")
    place = tmp_path / official.name
    os.link(official, place)
    return place


def test_a_converted_model_gives_the_official_file_back(tiny, tmp_path):
    folder = ensure_ctranslate2("tiny", tiny)

    write_checkpoint(read_ctranslate2(folder / "model.bin"), tmp_path / "again.pt")

    assert sha256_of(tmp_path / "again.pt") == official_weights("tiny").sha256


def test_what_stands_beside_the_weights_is_what_is_published(tmp_path):
    convert("base", real_weights("base"), tmp_path)

    assert sha256_of(tmp_path / "config.json") == PUBLISHED_CONFIG


def test_a_model_is_converted_once_by_whoever_comes_first(tiny):
    with ThreadPoolExecutor() as pool:
        folders = {*pool.map(lambda _: ensure_ctranslate2("tiny", tiny), range(3))}
    (folder,) = folders
    made = (folder / "model.bin").stat().st_ino

    again = ensure_ctranslate2("tiny", tiny)

    assert (again, (again / "model.bin").stat().st_ino) == (folder, made)
    assert sorted(p.name for p in folder.parent.iterdir()) == [f".{folder.name}.lock", folder.name]


def test_what_a_killed_process_left_behind_is_no_model(tiny):
    folder = ensure_ctranslate2("tiny", tiny)
    left = folder.rename(folder.with_name(f".{folder.name}.part"))
    (left / "model.bin").write_bytes(b"half")

    again = ensure_ctranslate2("tiny", tiny)

    assert (again / "model.bin").stat().st_size > 70_000_000
    assert not left.exists()


def test_a_folder_that_cannot_be_made_is_named(tiny):
    (tiny.parent / "ctranslate2").write_text("in the way")

    with pytest.raises(ModelUnavailable, match="cannot be converted for CTranslate2 in"):
        ensure_ctranslate2("tiny", tiny)


@pytest.mark.parametrize("is_multilingual", [True, False])
def test_texts_have_the_tokens_that_openai_whisper_gives_them(is_multilingual):
    theirs = get_tokenizer(is_multilingual)

    ours = tokenizers.Tokenizer.from_str(bpe_file(theirs.encoding))

    for text in TEXTS:
        tokens = ours.encode(text, add_special_tokens=False).ids
        assert tokens == theirs.encode(text)
        assert ours.decode(tokens) == text
    for mark in ("<|startoftranscript|>", "<|nospeech|>", "<|0.00|>", "<|30.00|>"):
        assert ours.token_to_id(mark) == theirs.encoding.encode_single_token(mark)
