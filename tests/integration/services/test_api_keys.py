"""Keys in Postgres: what is kept of them, and until when they open."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update

from domain.access import EVERYDAY_SCOPES, SCOPES
from domain.errors import (
    ApiKeyInactive,
    ApiKeyNotFound,
    DatabaseUnavailable,
    OptionInvalid,
    TenantNotFound,
    TenantTaken,
)
from models import ApiKey
from services.api_keys import NewKey, get_key, list_keys, make_key, revoke_key, rotate_key
from services.key_ring import REMEMBER_IN_AN_OUTAGE_S, REMEMBER_S, KeyRing
from services.tenants import list_tenants, make_tenant


class Clock:
    """Time that passes when a test says so."""

    def __init__(self):
        self.s = 0.0
        self.started_at = datetime.now(UTC)

    def __call__(self):
        return self.s

    def now(self):
        return self.started_at + timedelta(seconds=self.s)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ring(clock):
    return KeyRing(clock, clock.now)


@pytest.fixture
def make(services):
    def make(name="phone", **wanted):
        return make_key(services, NewKey(name, **wanted))

    return make


@pytest.fixture
def away(services):
    """The same services while Postgres does not answer."""

    @contextmanager
    def fail():
        raise DatabaseUnavailable("away")
        yield

    return replace(services, open_statement=fail, open_session=fail)


def rows(services):
    with services.open_session() as session:
        return session.scalars(select(ApiKey)).all()


def test_a_key_opens_for_its_tenant_with_its_scopes(services, make, ring):
    make_tenant(services, "acme")
    made = make(tenant="acme", scopes=["read", "submit"])

    principal = ring.find(services, made.key)

    assert (principal.tenant, principal.key_id) == ("acme", made.view.id)
    assert principal.scopes == {"submit", "read"}
    assert principal.actor == f"key:{made.view.id}"


def test_of_a_key_only_its_hash_and_its_first_letters_are_kept(services, make):
    made = make()

    (row,) = rows(services)

    kept = [str(getattr(row, column.name)) for column in ApiKey.__table__.columns]
    assert made.key.startswith(row.prefix)
    assert len(made.key) - len(row.prefix) >= 37
    assert not any(made.key in value or made.key[9:] in value for value in kept)


def test_no_two_keys_are_alike(make):
    assert len({make().key for _ in range(20)}) == 20


@pytest.mark.parametrize(
    "given", ["", "sk_", "sk_" + "a" * 43, "Bearer", "\0", "\ud800", "x" * 9999]
)
def test_what_was_never_made_opens_nothing(services, ring, given):
    assert ring.find(services, given) is None


def test_a_revoked_key_opens_nothing_once_it_is_forgotten(services, make, ring, clock):
    made = make()
    assert ring.find(services, made.key)

    revoke_key(services, made.view.id)
    clock.s = REMEMBER_S

    assert ring.find(services, made.key) is None
    assert KeyRing().find(services, made.key) is None


def test_the_process_that_revokes_forgets_at_once(services, make, ring):
    made = make()
    assert ring.find(services, made.key)

    revoke_key(services, made.view.id)
    ring.forget()

    assert ring.find(services, made.key) is None


def test_revoking_twice_keeps_the_first_time(services, make):
    made = make()

    first = revoke_key(services, made.view.id)
    second = revoke_key(services, made.view.id)

    assert (first.state, second.revoked_at) == ("revoked", first.revoked_at)


def test_a_key_ends_to_the_second_although_it_is_remembered(services, make, ring, clock):
    made = make(expires_at=clock.now() + timedelta(seconds=REMEMBER_S / 2))
    assert ring.find(services, made.key)

    clock.s = REMEMBER_S * 0.6

    assert ring.find(services, made.key) is None


def test_an_expired_key_opens_nothing(services, make):
    made = make()
    with services.open_session() as session:
        session.execute(update(ApiKey).values(expires_at=func.now()))

    assert KeyRing().find(services, made.key) is None
    assert get_key(services, made.view.id).state == "expired"


def test_a_remembered_key_costs_no_query(services, make, ring, away):
    made = make()
    principal = ring.find(services, made.key)

    assert ring.find(away, made.key) == principal


def test_in_an_outage_a_known_key_lets_requests_come_to_their_own_answer(
    services, make, ring, clock, away
):
    made = make()
    principal = ring.find(services, made.key)

    clock.s = REMEMBER_IN_AN_OUTAGE_S

    assert ring.find(away, made.key) == principal
    clock.s += REMEMBER_S
    with pytest.raises(DatabaseUnavailable):
        ring.find(away, made.key)


def test_in_an_outage_an_unknown_key_is_neither_good_nor_bad(make, ring, away):
    with pytest.raises(DatabaseUnavailable):
        ring.find(away, make().key)


def test_the_last_use_is_noted_once_a_minute(services, make):
    made = make()
    KeyRing().find(services, made.key)
    first = get_key(services, made.view.id).last_used_at

    KeyRing().find(services, made.key)
    second = get_key(services, made.view.id).last_used_at
    with services.open_session() as session:
        session.execute(update(ApiKey).values(last_used_at=first - timedelta(minutes=2)))
    KeyRing().find(services, made.key)
    third = get_key(services, made.view.id).last_used_at

    assert first is not None
    assert second == first
    assert third > first


def test_a_rotated_key_and_its_successor_both_open_for_a_while(services, make):
    made = make(scopes=["read"])

    after = rotate_key(services, made.view.id, overlap=timedelta(hours=1))

    ends_in = after.replaces.expires_at - datetime.now(UTC)
    assert KeyRing().find(services, made.key)
    assert KeyRing().find(services, after.key).scopes == {"read"}
    assert (after.view.name, after.view.expires_at) == ("phone", None)
    assert timedelta(minutes=59) < ends_in <= timedelta(hours=1)


def test_without_an_overlap_the_old_key_ends_at_once(services, make):
    made = make()

    after = rotate_key(services, made.view.id, overlap=timedelta(0))

    assert KeyRing().find(services, made.key) is None
    assert KeyRing().find(services, after.key)


def test_an_overlap_never_makes_a_key_last_longer(services, make):
    ends_at = datetime.now(UTC) + timedelta(minutes=5)
    made = make(expires_at=ends_at)

    after = rotate_key(services, made.view.id, overlap=timedelta(days=1))

    assert after.replaces.expires_at == ends_at
    assert after.view.expires_at == ends_at


def test_a_key_that_has_ended_cannot_be_rotated(services, make):
    made = make()
    revoke_key(services, made.view.id)

    with pytest.raises(ApiKeyInactive):
        rotate_key(services, made.view.id)

    assert len(rows(services)) == 1


def test_keys_are_listed_by_tenant_and_state_in_pages(services, make):
    make_tenant(services, "acme")
    made = [make(f"key {number}") for number in range(3)]
    theirs = make("theirs", tenant="acme")
    revoke_key(services, made[0].view.id)

    first = list_keys(services, state="active", limit=2)
    second = list_keys(services, state="active", limit=2, cursor=first.next_cursor)

    assert [key.name for key in first.keys + second.keys] == ["theirs", "key 2", "key 1"]
    assert (first.has_more, second.has_more, second.next_cursor) == (True, False, None)
    assert [key.id for key in list_keys(services, tenant="acme").keys] == [theirs.view.id]
    assert [key.name for key in list_keys(services, state="revoked").keys] == ["key 0"]
    assert list_keys(services, state="expired").keys == []


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"tenant": "nobody"}, TenantNotFound),
        ({"tenant": "a\0"}, TenantNotFound),
        ({"scopes": []}, OptionInvalid),
        ({"scopes": ["read", "write"]}, OptionInvalid),
        ({"name": ""}, OptionInvalid),
        ({"name": "two\nlines"}, OptionInvalid),
        ({"name": "\ud800"}, OptionInvalid),
        ({"name": "x" * 201}, OptionInvalid),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, OptionInvalid),
    ],
)
def test_a_key_that_cannot_be_is_refused(services, make, wanted, error):
    with pytest.raises(error):
        make(**wanted)

    assert rows(services) == []


def test_scopes_are_kept_once_and_in_their_order(make):
    assert make().view.scopes == EVERYDAY_SCOPES
    assert make(scopes=[*reversed(SCOPES), "read"]).view.scopes == SCOPES


@pytest.mark.parametrize("act", [get_key, revoke_key, rotate_key])
def test_a_key_that_was_never_made_is_not_found(services, act):
    with pytest.raises(ApiKeyNotFound):
        act(services, uuid4())


def test_tenants_are_listed_with_their_good_keys(services, make):
    make_tenant(services, "acme")
    make(tenant="acme")
    revoke_key(services, make(tenant="acme").view.id)

    assert [(tenant.name, tenant.active_keys) for tenant in list_tenants(services)] == [
        ("acme", 1),
        ("default", 0),
    ]


def test_a_tenant_is_made_once(services):
    make_tenant(services, "acme")

    with pytest.raises(TenantTaken):
        make_tenant(services, "acme")


@pytest.mark.parametrize("name", ["", "Acme", "-acme", "a b", "a\n", "a\0", "ä", "x" * 64, "a/b"])
def test_a_tenants_name_is_plain(services, name):
    with pytest.raises(OptionInvalid):
        make_tenant(services, name)
