"""Who gets in, with AUTH=on; the lookup of keys is a table here."""

from uuid import uuid4

import pytest

import api.auth
import api.health
from api.current import KEY_RING
from api.scopes import needed_scope
from domain.access import Principal
from domain.errors import DatabaseUnavailable
from tests.routes import address_of
from tests.unit.api.conftest import ADMIN_KEY

READER = "sk_" + "r" * 43
WRITER = "sk_" + "w" * 43
SOMEBODY = uuid4()


class Ring:
    """Knows two keys."""

    asked = 0

    def find(self, services, secret):
        self.asked += 1
        scopes = {READER: {"read"}, WRITER: {"submit"}}.get(secret)
        return scopes and Principal("acme", frozenset(scopes), f"key:{SOMEBODY}", SOMEBODY)


class Body:
    """A body that must not be read."""

    def read(self, *_):
        pytest.fail("the body was read")

    readline = readlines = read


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"auth": "on"})


@pytest.fixture
def ring(app, monkeypatch):
    ring = Ring()
    monkeypatch.setitem(app.extensions, KEY_RING, ring)
    return ring


@pytest.fixture
def client(client, ring):
    return client


def ask(client, *, method="GET", address="/transcribe/x", **headers):
    return client.open(address, method=method, headers=headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": READER},
        {"xi-api-key": READER},
        {"Authorization": f"Bearer {READER}"},
        {"Authorization": f"bearer  {READER}"},
        {"Authorization": f"Token {READER}"},
        {"Authorization": READER},
        {"X-API-Key": READER, "Authorization": f"Bearer {READER}"},
        {"X-API-Key": READER, "Authorization": "Basic dXNlcjpwYXNz"},
        {"X-API-Key": "", "Authorization": f"Token {READER}"},
    ],
)
def test_a_key_is_taken_from_wherever_clients_put_it(client, headers):
    answer = ask(client, **headers)

    assert (answer.status_code, answer.json["code"]) == (404, "job_not_found")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "wrong"},
        {"X-API-Key": f"{READER},{READER}"},
        {"X-API-Key": "ключ".encode().decode("latin-1")},
        {"Authorization": f"Basic {READER}"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {READER} x"},
        {"Cookie": f"X-API-Key={READER}"},
    ],
)
def test_without_a_good_key_the_answer_is_always_the_same(client, headers):
    answer = ask(client, **headers)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="scriptorium"'
    assert answer.json["code"] == "api_key_invalid"
    assert answer.json["message"] == ask(client).json["message"]
    assert answer.json["details"] == {}


def test_two_different_keys_are_refused(client):
    answer = ask(client, **{"X-API-Key": READER, "Authorization": f"Bearer {WRITER}"})

    assert (answer.status_code, answer.json["code"]) == (400, "request_invalid")


@pytest.mark.parametrize(
    ("method", "address", "key", "lacks"),
    [
        ("POST", "/transcribe/", READER, "submit"),
        ("PUT", "/transcribe/", READER, "submit"),
        ("DELETE", "/transcribe/x", READER, "submit"),
        ("PATCH", "/jobs/x", READER, "submit"),
        ("GET", "/jobs/", WRITER, "read"),
        ("HEAD", "/transcribe/x/audio", WRITER, "read"),
        ("GET", "/admin/health", READER, "admin"),
        ("POST", "/admin/keys", WRITER, "admin"),
        ("GET", "/admin/tenants", READER, "admin"),
    ],
)
def test_a_key_without_the_scope_is_403_that_names_it(client, method, address, key, lacks):
    answer = ask(client, method=method, address=address, **{"X-API-Key": key})

    assert answer.status_code == 403
    if method != "HEAD":
        assert answer.json["code"] == "scope_missing"
        assert answer.json["details"] == {"scope": lacks}


@pytest.mark.parametrize(
    ("method", "address"),
    [("POST", "/webhooks/"), ("POST", "/webhooks/rotate-secret"), ("DELETE", "/webhooks/x")],
)
def test_who_only_submits_has_no_say_in_where_messages_go(client, method, address):
    answer = ask(client, method=method, address=address, **{"X-API-Key": WRITER})

    assert (answer.status_code, answer.json["details"]) == (403, {"scope": "read"})


@pytest.mark.parametrize(("method", "address"), [("GET", "/webhooks/"), ("POST", "/webhooks/")])
def test_nor_has_a_browser_with_a_token(client, monkeypatch, method, address):
    visitor = Principal("acme", frozenset({"submit", "read"}), "token", is_single_use=True)
    monkeypatch.setattr(api.auth, "redeem_token", lambda *_: visitor)

    answer = ask(client, method=method, address=f"{address}?token=st_one")

    assert (answer.status_code, answer.json["code"]) == (403, "scope_missing")


def test_the_admin_key_may_do_everything(client):
    admin = {"X-API-Key": ADMIN_KEY}

    assert ask(client, **admin).status_code == 404
    assert ask(client, method="PUT", address="/transcribe/", **admin).status_code == 411
    assert ask(client, address="/admin/errors/x", **admin).status_code == 404


def test_an_admin_key_that_is_not_set_lets_nobody_in(client, app, services, settings):
    object.__setattr__(services, "settings", settings.model_copy(update={"admin_api_key": ""}))

    assert ask(client, address="/admin/health", **{"X-API-Key": ""}).status_code == 401


@pytest.mark.parametrize(
    "address", ["/health", "/openapi.json", "/docs", "/docs/start.js", "/docs/assets/x"]
)
def test_what_people_need_before_they_have_a_key_is_open(client, ring, address):
    assert ask(client, address=address).status_code in (200, 404)
    assert ring.asked == 0


def test_an_address_that_leads_nowhere_says_so_to_everybody(client):
    assert ask(client, address="/trancsribe/").json["code"] == "route_not_found"
    assert ask(client, method="PATCH", address="/jobs/").json["code"] == "method_not_allowed"


def test_every_other_route_wants_a_key(app, client, monkeypatch):
    def fail(_services):
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(api.health, "check_ready", fail)
    open_to_all = set()
    for rule in app.url_map.iter_rules():
        address = address_of(rule)
        for method in rule.methods - {"OPTIONS"}:
            if ask(client, method=method, address=address).status_code != 401:
                open_to_all.add(rule.rule)

    assert open_to_all == {
        "/health",
        "/health/ready",
        "/openapi.json",
        "/docs",
        "/docs/start.js",
        "/docs/assets/<string:name>",
    }


def test_every_admin_route_wants_the_admin_scope(app):
    needed = {}
    for rule in app.url_map.iter_rules():
        address = address_of(rule)
        for method in rule.methods - {"OPTIONS"} if rule.rule.startswith("/admin") else ():
            with app.test_request_context(address, method=method) as context:
                needed[method, rule.rule] = needed_scope(context.request)

    assert len(needed) > 20
    assert set(needed.values()) == {"admin"}


@pytest.mark.parametrize(
    "size", [{"HTTP_TRANSFER_ENCODING": "chunked"}, {"CONTENT_LENGTH": "50000"}]
)
@pytest.mark.parametrize("key", ["", "wrong"])
@pytest.mark.parametrize(
    ("method", "address"), [("PUT", "/transcribe/"), ("POST", "/transcribe/"), ("PATCH", "/jobs/x")]
)
def test_a_stranger_is_refused_before_his_body_is_read(client, method, address, key, size):
    answer = client.open(
        address,
        method=method,
        headers={"X-API-Key": key},
        environ_overrides={"wsgi.input": Body(), "wsgi.input_terminated": True, **size},
    )

    assert answer.status_code == 401


def test_a_token_gets_in_once_and_is_not_taken_for_an_option(client, monkeypatch):
    tokens = {"st_one": Principal("acme", frozenset({"read"}), "token", is_single_use=True)}
    monkeypatch.setattr(api.auth, "redeem_token", lambda _services, token: tokens.pop(token, None))

    first = ask(client, address="/transcribe/x?token=st_one")
    second = ask(client, address="/transcribe/x?token=st_one")

    assert (first.status_code, first.json["code"]) == (404, "job_not_found")
    assert (second.status_code, second.json["code"]) == (401, "api_key_invalid")


def test_a_token_beside_a_key_or_another_token_is_refused(client, monkeypatch):
    monkeypatch.setattr(api.auth, "redeem_token", lambda *_: pytest.fail("redeemed"))

    both = ask(client, address="/transcribe/x?token=st_one", **{"X-API-Key": READER})
    two = ask(client, address="/transcribe/x?token=st_one&token=st_two")

    assert both.status_code == 400
    assert two.status_code == 401


def test_neither_keys_nor_tokens_reach_the_log(client, monkeypatch, caplog):
    monkeypatch.setattr(api.auth, "redeem_token", lambda *_: None)
    caplog.set_level("DEBUG")

    ask(client, **{"X-API-Key": READER})
    ask(client, address="/transcribe/x?token=st_secret")
    ask(client, method="POST", address="/tokens", Authorization=f"Bearer {WRITER}x")

    said = "".join(str(vars(record)) for record in caplog.records)
    assert "http_request" in said
    assert not any(secret in said for secret in (READER, WRITER, "st_secret"))
