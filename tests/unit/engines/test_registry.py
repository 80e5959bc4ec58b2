import sys

import pytest

from config import Settings
from domain.errors import ConfigurationError
from engines.registry import get_loader


@pytest.mark.parametrize("missing", ["ctranslate2", "faster_whisper"])
def test_an_extra_that_is_not_installed_is_refused_with_what_installs_it(monkeypatch, missing):
    for module in [name for name in sys.modules if "ctranslate2" in name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, missing, None)  # as if it were not there

    with pytest.raises(ConfigurationError, match="`make faster-whisper`"):
        get_loader("faster_whisper", Settings())


def test_the_second_engine_goes_by_its_name():
    loader = get_loader("faster_whisper", Settings())

    assert loader.name == "faster_whisper"
