import os

import pytest

from config import get_settings
from tests.setting_names import SETTING_NAMES


@pytest.fixture(autouse=True)
def no_settings_in_the_environment(monkeypatch):
    """A unit test says itself how the program is configured, whatever ran before it."""
    for name in SETTING_NAMES & set(os.environ):
        monkeypatch.delenv(name)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()
