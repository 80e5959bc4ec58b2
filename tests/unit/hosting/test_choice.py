import pytest

from hosting.choice import CROWD, choose_place


def host(place, *models, sessions=0):
    return {
        "place": place,
        "sessions": sessions,
        "pool": {"models_by_size": dict.fromkeys(models, 1)},
    }


@pytest.mark.parametrize(
    ("hosts", "place"),
    [
        ([], None),
        ([host(0)], 0),
        ([host(0), host(1, "base")], 1),
        ([host(0), host(1, "base", sessions=3)], 1),
        ([host(0, "base", sessions=2), host(1, "base", sessions=1)], 1),
        ([host(0, "tiny", sessions=2), host(1)], 1),
        ([host(1), host(0)], 0),
        ([host(0), host(1, "base", sessions=CROWD)], 0),
    ],
)
def test_a_job_goes_where_its_model_is_unless_that_host_is_crowded(hosts, place):
    assert choose_place(hosts, "base") == place
