import pytest

from domain.errors import OptionInvalid
from domain.limits import TenantLimits, check_overrides, seconds_to_midnight


def test_what_was_set_for_a_tenant_holds_before_the_settings():
    limits = TenantLimits(requests_per_minute=600, waiting_jobs=10)

    changed = limits.changed({"waiting_jobs": 0, "a limit of another release": 5})

    assert changed == TenantLimits(requests_per_minute=600, waiting_jobs=0)


def test_null_gives_a_limit_back_to_the_settings():
    assert check_overrides({"waiting_jobs": None, "running_jobs": 3}) == {"running_jobs": 3}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("waiting_jobs", -1),
        ("bytes_per_day", 10**15 + 1),
        ("audio_hours_per_day", float("nan")),
        ("jobs", 5),
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_its_name(name, value):
    with pytest.raises(OptionInvalid) as raised:
        check_overrides({name: value})

    assert raised.value.details["option"] == name


@pytest.mark.parametrize(
    ("of_day", "left"), [(0.0, 86_400), (86_399.2, 1), (86_400.0, 1), (82_800.5, 3_600)]
)
def test_a_day_ends_at_midnight(of_day, left):
    assert seconds_to_midnight(of_day) == left
