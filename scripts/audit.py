"""Check the audit log: `python -m scripts.audit verify`."""

import sys

import click

from domain.errors import ScriptoriumError
from scripts.installation import open_installation
from services.audit import Verdict, seal_entries, verify_chain


@click.group()
def cli() -> None:
    """The audit log of this installation."""


@cli.command()
@click.option(
    "--expect",
    metavar="POSITION:HASH",
    help="What an earlier check printed; finds what was cut off or written anew since.",
)
def verify(expect: str | None) -> None:
    """Recompute the chain of hashes. Ends with 1 when an entry was changed or is missing."""
    services = open_installation()
    seal_entries(services)
    verdict = verify_chain(services, expected=parse_expected(expect))
    click.echo(report(verdict))
    sys.exit(1 if verdict.problem else 0)


def parse_expected(given: str | None) -> tuple[int, str] | None:
    """The place and hash in POSITION:HASH. Raises click.BadParameter."""
    if given is None:
        return None
    position, _, found = given.partition(":")
    if not position.isdecimal() or not found:
        raise click.BadParameter("give POSITION:HASH, as an earlier check printed it")
    return int(position), found


def report(verdict: Verdict) -> str:
    """What a check found, and what to do with it."""
    place = f"{verdict.position}:{verdict.chain_hash}"
    if verdict.problem:
        return (
            f"broken: {verdict.problem}\n"
            f"right up to {place}\n"
            "The history of the jobs (/transcribe/ID/history) and the backups tell what it was."
        )
    waiting = f", {verdict.unsealed} too young to be sealed" if verdict.unsealed else ""
    return (
        f"whole: {verdict.checked} entries{waiting}\n"
        f"ends at {place}\n"
        f"Keep that line elsewhere and check later with --expect {place}"
    )


if __name__ == "__main__":
    try:
        cli()
    except ScriptoriumError as error:
        print(f"audit: {error.message}", file=sys.stderr)
        sys.exit(1)
