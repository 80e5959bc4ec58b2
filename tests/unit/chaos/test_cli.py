from click.testing import CliRunner

from chaos.__main__ import FULL, SHORT, cli
from chaos.faults import FaultKind
from tests.source_tree import ROOT


def test_every_option_and_every_fault_is_documented():
    text = (ROOT / "docs" / "chaos.md").read_text()

    options = {word for option in cli.params for word in option.opts}
    missing = sorted(word for word in {*options, *FaultKind} if f"`{word}`" not in text)

    assert missing == []


def test_the_full_form_is_the_attack_that_is_published():
    assert FULL.jobs >= 120
    assert FULL.faults >= 20


def test_the_short_form_has_every_kind_of_fault_once():
    assert len(FaultKind) == SHORT.faults


def test_too_few_faults_for_every_kind_are_refused():
    result = CliRunner().invoke(cli, ["--faults", "9"])

    assert result.exit_code == 2
    assert "9" in result.output
