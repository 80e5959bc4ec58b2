import pytest

from engines.device_memory import default_budget_mb, usable_ram_mb


def test_models_may_fill_half_of_the_machine():
    assert default_budget_mb("cpu") == pytest.approx(usable_ram_mb() / 2)
