"""The audit log: entries in the order of their transactions, chained so that a change shows."""

import pytest
from sqlalchemy import create_engine, text

from domain.access import Principal
from services.audit import list_entries, record_action, seal_entries, verify_chain

ALICE = Principal("alice", frozenset({"submit"}), "key:1")
BOB = Principal("bob", frozenset({"submit"}), "key:2")


@pytest.fixture
def act(services):
    def act(count=1, who=ALICE, target="job"):
        for _ in range(count):
            record_action(services, who, "DELETE /transcribe/<job_id>", target, {"status": 200})

    return act


def change(services, statement):
    with services.open_session() as session:
        session.execute(text(statement))


def test_entries_are_chained_in_their_order(services, act):
    act(3)

    sealed = seal_entries(services)

    verdict = verify_chain(services)
    entries, _ = list_entries(services)
    assert sealed == 3
    assert (verdict.checked, verdict.position, verdict.unsealed) == (3, 3, 0)
    assert verdict.problem is None
    assert [entry.position for entry in entries] == [3, 2, 1]
    assert len({entry.chain_hash for entry in entries}) == 3


def test_the_chain_goes_on_where_it_ended(services, act):
    act(2)
    seal_entries(services)
    act(2)

    seal_entries(services)

    assert verify_chain(services).position == 4
    assert seal_entries(services) == 0


@pytest.mark.parametrize(
    "change_to",
    [
        "actor = 'key:9'",
        "target = 'another'",
        "action = 'GET /'",
        "tenant = 'bob'",
        "at = at + interval '1 s'",
        "detail = '{}'",
    ],
)
def test_a_changed_entry_is_found(services, act, change_to):
    act(3)
    seal_entries(services)

    statement = f"UPDATE audit_entries SET {change_to} WHERE position = 2"  # noqa: S608 - ours
    change(services, statement)

    verdict = verify_chain(services)
    assert verdict.problem == "entry 2 is not as it was sealed"
    assert verdict.position == 1


def test_a_removed_entry_is_found(services, act):
    act(4)
    seal_entries(services)

    change(services, "DELETE FROM audit_entries WHERE position IN (2, 3)")

    assert verify_chain(services).problem == "entries 2 to 3 are missing"


def test_a_cut_off_end_is_found_by_who_knows_where_it_was(services, act):
    act(3)
    seal_entries(services)
    end = verify_chain(services)

    change(services, "DELETE FROM audit_entries WHERE position = 3")

    known = (end.position, end.chain_hash)
    assert verify_chain(services).problem is None
    assert verify_chain(services, expected=known).problem == (
        "the chain ends at 2, and it once reached 3"
    )


def test_a_chain_that_was_written_anew_is_found_by_who_knows_its_end(services, act):
    act(2)
    seal_entries(services)
    end = verify_chain(services)
    change(
        services,
        "UPDATE audit_entries SET position = NULL, chain_hash = NULL, target = 'forged'",
    )
    seal_entries(services)

    verdict = verify_chain(services, expected=(end.position, end.chain_hash))

    assert verdict.problem == "entry 2 had another hash before: the chain was written anew"


def test_nothing_is_sealed_that_an_older_transaction_may_still_come_before(
    services, act, session_settings
):
    engine = create_engine(session_settings.sqlalchemy_url)
    with engine.connect() as older:
        older.execute(
            text(
                "INSERT INTO audit_entries (tenant, actor, action, target)"
                " VALUES ('alice', 'key:1', 'slow', 'job')"
            )
        )
        act(2)

        too_early = seal_entries(services)
        older.commit()
    engine.dispose()
    afterwards = seal_entries(services)

    entries, _ = list_entries(services)
    assert (too_early, afterwards) == (0, 3)
    assert entries[-1].action == "slow"
    assert verify_chain(services).problem is None


def test_the_list_is_paged_and_filtered(services, act):
    act(3)
    act(2, who=BOB, target="hook")

    first, before_id = list_entries(services, limit=4)
    rest, end = list_entries(services, limit=4, before_id=before_id)
    of_bob, _ = list_entries(services, tenant="bob")
    of_hook, _ = list_entries(services, target="hook")

    assert (len(first), len(rest), end) == (4, 1, None)
    assert [entry.actor for entry in of_bob] == ["key:2", "key:2"]
    assert of_hook == of_bob
