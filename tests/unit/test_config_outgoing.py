"""Hosts of one's own network that may be called."""

import pytest

from config import load_settings
from domain.errors import ConfigurationError
from tests.unit.test_config import GOOD


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", set()),
        ("nas.lan:8080", {("nas.lan", 8080)}),
        (" NAS.lan:8080 , 10.0.0.5:443,", {("nas.lan", 8080), ("10.0.0.5", 443)}),
        ("[FD00::5]:8443", {("fd00::5", 8443)}),
    ],
)
def test_hosts_and_ports_that_may_be_called_are_read(text, expected):
    assert load_settings(**GOOD, outgoing_allow=text).allowed_outside == expected


@pytest.mark.parametrize(
    "text",
    [
        "nas.lan",
        "nas.lan:",
        ":8080",
        "nas.lan:x",
        "nas.lan:99999",
        "nas.lan:0",
        "https://nas.lan:8080",
        "nas.lan:8080/path",
        "user@nas.lan:8080",
        "fd00::5:443",
        "*:80",
        "10.0.0.0/8:80",
    ],
)
def test_anything_else_stops_the_start(text):
    with pytest.raises(ConfigurationError, match="OUTGOING_ALLOW"):
        load_settings(**GOOD, outgoing_allow=text)
