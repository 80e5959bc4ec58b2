"""/docs works without the rest of the internet."""

import re


def test_the_page_loads_nothing_from_elsewhere(client):
    page = client.get("/docs")

    addresses = re.findall(r'(?:src|href|data-spec)="([^"]+)"', page.text)
    assert page.status_code == 200
    assert len(addresses) == 5
    assert "<script>" not in page.text
    for address in addresses:
        assert address.startswith("/")
        assert not address.startswith("//")
        assert client.get(address).status_code == 200


def test_the_page_may_not_load_from_elsewhere(client):
    policy = client.get("/docs").headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert "unsafe" not in policy
    assert "*" not in policy


def test_the_stylesheet_and_the_start_name_no_other_host(client):
    style = client.get("/docs/assets/swagger-ui.css").text
    start = client.get("/docs/start.js").text

    assert re.findall(r"url\(['\"]?(?!['\"]?data:)", style) == []
    assert "@import" not in style
    assert "validatorUrl: null" in start
    assert "http" not in start


def test_assets_have_their_types_and_nothing_else_is_served(client):
    bundle = client.get("/docs/assets/swagger-ui-bundle.js")
    other = client.get("/docs/assets/index.html")
    outside = client.get("/docs/assets/..%2f..%2f__init__.py")

    assert bundle.mimetype in ("text/javascript", "application/javascript")
    assert bundle.headers["Cache-Control"] != "no-store"
    assert (other.status_code, outside.status_code) == (404, 404)
