import pytest

from engines.device_memory import default_budget_mb, usable_ram_mb


def test_the_processes_of_a_machine_share_half_of_its_memory():
    alone = default_budget_mb("cpu", processes=1)
    of_four = default_budget_mb("cpu", processes=4)

    assert alone == pytest.approx(usable_ram_mb() / 2)
    assert of_four == pytest.approx(alone / 4)
