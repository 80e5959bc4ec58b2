"""The audit of the pinned packages: what it counts, what it holds back and what it does not."""

import json

import pytest

from scripts import audit_packages
from scripts.audit_packages import AuditFailed, main, read_answers, summary

WEAK = {
    "name": "flask",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-2026-1"], "fix_versions": ["1.1"]}],
}
SAFE = {"name": "click", "version": "8.3", "vulns": []}
UNKNOWN = {"name": "odd", "skip_reason": "not found"}


def answer(*items):
    return json.dumps({"dependencies": items})


def test_a_vulnerability_is_named_with_the_version_that_mends_it():
    found = read_answers([answer(WEAK, SAFE), answer(WEAK)], ignored={})

    assert found.vulnerable == (("flask 1.0", "PYSEC-1", "1.1"),)
    assert summary(found).splitlines()[0] == "flask 1.0: PYSEC-1, fixed in 1.1"


@pytest.mark.parametrize("id_", ["PYSEC-1", "CVE-2026-1"])
def test_what_is_explained_under_any_of_its_names_does_not_count(id_):
    assert read_answers([answer(WEAK)], ignored={id_: "we never do that"}).vulnerable == ()


def test_what_the_service_does_not_know_is_not_called_safe():
    found = read_answers([answer(SAFE, UNKNOWN)], ignored={})

    assert summary(found) == (
        "packages: 1 audited, 0 vulnerabilities; 1 not known to the service, so not audited"
    )


@pytest.mark.parametrize(("items", "code"), [((WEAK,), 1), ((SAFE, UNKNOWN), 0)])
def test_a_vulnerability_and_nothing_else_ends_with_1(monkeypatch, items, code):
    monkeypatch.setattr(audit_packages, "ask", lambda name: answer(*items))

    assert main() == code


def test_without_a_network_it_says_so_and_holds_nothing_back(monkeypatch, capsys):
    def away(name):
        raise AuditFailed("no route to host")

    monkeypatch.setattr(audit_packages, "ask", away)

    assert main() == 0
    assert "not audited, no route to host" in capsys.readouterr().err
