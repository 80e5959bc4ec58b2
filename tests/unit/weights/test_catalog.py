import subprocess
import sys

import pytest
import whisper

from domain.errors import OptionInvalid
from domain.options import MODEL_SIZES
from engines.weights.catalog import PACKAGED_SIZES, official_weights
from scripts.packaged_weights import PACKAGED


def test_every_name_of_openai_whisper_is_known_with_its_own_address():
    found = {size: official_weights(size).url for size in MODEL_SIZES}

    assert found == whisper._MODELS


@pytest.mark.parametrize(
    ("name", "file_name"), [("large", "large-v3.pt"), ("turbo", "large-v3-turbo.pt")]
)
def test_the_file_name_is_the_one_openai_whisper_looks_for(name, file_name):
    weights = official_weights(name)

    assert weights.file_name == file_name
    assert len(weights.sha256) == 64


def test_an_unknown_name_is_refused():
    with pytest.raises(OptionInvalid):
        official_weights("huge")


def test_looking_a_model_up_does_not_load_torch():
    code = (
        "import sys; from engines.weights.catalog import official_weights; "
        "import engines.weights.ensure; official_weights('base'); "
        "sys.exit('torch' in sys.modules)"
    )

    finished = subprocess.run([sys.executable, "-c", code], check=False)

    assert finished.returncode == 0


def test_the_sizes_that_the_messages_promise_have_packages():
    assert set(PACKAGED) == set(PACKAGED_SIZES)
