"""Tokens for one request: nobody gets in twice, whoever is quick."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from domain.access import ANYBODY, OPERATOR
from domain.errors import ScopeMissing
from models import SingleUseToken
from services.api_keys import NewKey, make_key, revoke_key
from services.key_ring import KeyRing
from services.single_use_tokens import issue_token, redeem_token
from services.tenants import make_tenant

TOGETHER = 8


@pytest.fixture
def holder(services):
    """Somebody with a key that may submit and read."""
    make_tenant(services, "acme")
    made = make_key(services, NewKey("app", tenant="acme", scopes=["submit", "read"]))
    return KeyRing().find(services, made.key)


def rows(services):
    with services.open_session() as session:
        return session.scalars(select(SingleUseToken)).all()


def test_a_token_gets_in_once(services, holder):
    issued = issue_token(services, holder, ["submit"], ttl_s=60)

    first = redeem_token(services, issued.token)
    second = redeem_token(services, issued.token)

    assert (first.tenant, first.key_id, first.scopes) == ("acme", holder.key_id, {"submit"})
    assert first.is_single_use
    assert first.actor == holder.actor
    assert second is None


def test_of_many_requests_at_once_one_gets_in(services, holder):
    token = issue_token(services, holder, ["read"], ttl_s=60).token

    with ThreadPoolExecutor(TOGETHER) as pool:
        found = list(pool.map(lambda _: redeem_token(services, token), range(TOGETHER)))

    assert sum(principal is not None for principal in found) == 1


def test_a_token_is_good_for_as_long_as_was_asked(services, holder):
    issued = issue_token(services, holder, ["read"], ttl_s=900)

    left = issued.expires_at - datetime.now(UTC)
    assert timedelta(seconds=890) < left <= timedelta(seconds=900)
    with services.open_session() as session:
        session.execute(update(SingleUseToken).values(expires_at=func.now()))
    assert redeem_token(services, issued.token) is None


def test_a_token_ends_with_the_key_that_made_it(services, holder):
    token = issue_token(services, holder, ["read"], ttl_s=60).token

    revoke_key(services, holder.key_id)

    assert redeem_token(services, token) is None


def test_a_token_may_no_more_than_its_maker(services, holder):
    with pytest.raises(ScopeMissing) as caught:
        issue_token(services, holder, ["read", "realtime"], ttl_s=60)

    assert caught.value.details == {"scope": "realtime"}
    assert rows(services) == []


def test_a_token_makes_no_tokens(services, holder):
    token = issue_token(services, holder, ["read"], ttl_s=60).token
    visitor = redeem_token(services, token)

    with pytest.raises(ScopeMissing):
        issue_token(services, visitor, ["read"], ttl_s=60)


@pytest.mark.parametrize("maker", [OPERATOR, ANYBODY])
def test_who_has_no_key_of_his_own_can_make_tokens_too(services, maker):
    token = issue_token(services, maker, ["submit"], ttl_s=60).token

    assert redeem_token(services, token).tenant == "default"


def test_only_the_hash_is_kept(services, holder):
    token = issue_token(services, holder, ["read"], ttl_s=60).token

    (row,) = rows(services)

    kept = [str(getattr(row, column.name)) for column in SingleUseToken.__table__.columns]
    assert not any(token in value or token[3:] in value for value in kept)


@pytest.mark.parametrize("given", ["", "st_x", "\0", "\ud800", "x" * 9999])
def test_what_was_never_made_gets_nobody_in(services, given):
    assert redeem_token(services, given) is None
