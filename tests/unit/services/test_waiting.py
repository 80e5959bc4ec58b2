from itertools import islice, pairwise

from services.waiting import FIRST_LOOK_S, LOOK_EVERY_S, pauses


def test_pauses_grow_from_the_first_to_the_longest_and_stay_there():
    found = list(islice(pauses(), 30))

    assert found[0] == FIRST_LOOK_S
    assert all(later > earlier or later == LOOK_EVERY_S for earlier, later in pairwise(found))
    assert set(found[20:]) == {LOOK_EVERY_S}


def test_one_who_waits_begins_anew():
    list(islice(pauses(), 10))

    assert next(pauses()) == FIRST_LOOK_S
