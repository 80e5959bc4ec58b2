"""Make, list, rotate and revoke API keys: `python -m scripts.keys`."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from domain.access import DEFAULT_TENANT, EVERYDAY_SCOPES, SCOPES, Principal
from domain.errors import ScriptoriumError
from scripts.installation import open_installation
from services.api_keys import (
    KeyView,
    MadeKey,
    NewKey,
    State,
    list_keys,
    make_key,
    revoke_key,
    rotate_key,
)
from services.audit import record_action
from services.context import Services
from services.key_ring import REMEMBER_S
from services.tenants import list_tenants, make_tenant

OPERATOR = Principal(DEFAULT_TENANT, frozenset(SCOPES), "command line")
STATE_STYLE = {"active": "green", "expired": "dim", "revoked": "red"}
PAGE = 100


@click.group()
@click.pass_context
def cli(context: click.Context) -> None:
    """Keys and tenants of this installation."""
    # Not for --help, which must work where nothing is installed yet.
    context.obj = None if "--help" in sys.argv else open_installation()


@cli.command()
@click.argument("name")
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose jobs it opens.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    default=EVERYDAY_SCOPES,
    show_default=True,
    help="What it may do; several times for several.",
)
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="Ends after so long.")
@click.pass_obj
def create(
    services: Services, name: str, tenant: str, scopes: tuple[str, ...], days: float | None
) -> None:
    """Make a key called NAME and show it, this once."""
    ends_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    made = make_key(services, NewKey(name, tenant, scopes, ends_at))
    _note(services, "create key", made.view, {"scopes": list(made.view.scopes)})
    _show(made)


@cli.command("list")
@click.option("--tenant", help="Only this one's.")
@click.option("--all", "has_all", is_flag=True, help="Expired and revoked ones too.")
@click.pass_obj
def list_(services: Services, tenant: str | None, *, has_all: bool) -> None:
    """Show the keys that are good, newest first."""
    keys: list[KeyView] = []
    cursor, has_more = None, True
    state: State | None = None if has_all else "active"
    while has_more:
        page = list_keys(services, tenant=tenant, state=state, cursor=cursor, limit=PAGE)
        keys += page.keys
        cursor, has_more = page.next_cursor, page.has_more
    if not keys:
        click.echo("no keys; make one: python -m scripts.keys create NAME")
        return
    Console().print(_table(keys))


@cli.command()
@click.argument("key_id", type=click.UUID)
@click.option(
    "--overlap-hours",
    type=click.FloatRange(min=0),
    default=24.0,
    show_default=True,
    help="How long the old key stays good.",
)
@click.pass_obj
def rotate(services: Services, key_id: UUID, overlap_hours: float) -> None:
    """Make a new key that may do what KEY_ID may, and let the old one end."""
    made = rotate_key(services, key_id, overlap=timedelta(hours=overlap_hours))
    _note(services, "rotate key", made.view, {"replaces": str(key_id)})
    _show(made)


@cli.command()
@click.argument("key_id", type=click.UUID)
@click.pass_obj
def revoke(services: Services, key_id: UUID) -> None:
    """End a key for good."""
    key = revoke_key(services, key_id)
    _note(services, "revoke key", key, {})
    click.echo(f"{key.prefix}... ({key.name}) is revoked; it opens nothing in {REMEMBER_S:g} s")


@cli.command()
@click.option("--add", metavar="NAME", help="Make this tenant.")
@click.pass_obj
def tenants(services: Services, add: str | None) -> None:
    """Show the tenants; with --add, make one."""
    if add:
        made = make_tenant(services, add)
        record_action(services, OPERATOR, "create tenant", made.name)
        click.echo(
            f"{made.name} is there; a key: python -m scripts.keys create NAME --tenant {add}"
        )
        return
    table = Table("Tenant", "Good keys", "Since")
    for tenant in list_tenants(services):
        table.add_row(tenant.name, str(tenant.active_keys), _moment(tenant.created_at))
    Console().print(table)


def _show(made: MadeKey) -> None:
    """The new key alone on a line of standard output, all else beside it."""
    view, end = made.view, made.view.expires_at
    click.echo(f"key {view.id} of tenant {view.tenant}: {', '.join(view.scopes)}", err=True)
    click.echo(f"ends {_moment(end)}" if end else "does not end by itself", err=True)
    if made.replaces and made.replaces.expires_at:
        before = made.replaces
        click.echo(f"{before.prefix}... stays good until {_moment(before.expires_at)}", err=True)
    click.echo("It is shown this once. Keep it where secrets are kept, then:", err=True)
    click.echo(f'  curl -H "X-API-Key: {view.prefix}..." http://127.0.0.1:8000/jobs/', err=True)
    click.echo(made.key)


def _table(keys: Iterable[KeyView]) -> Table:
    table = Table("Key", "Name", "Tenant", "Scopes", "State", "Ends", "Last used", "Id")
    for key in keys:
        table.add_row(
            f"{key.prefix}...",
            escape(key.name),
            key.tenant,
            " ".join(key.scopes),
            f"[{STATE_STYLE[key.state]}]{key.state}",
            _moment(key.expires_at),
            _moment(key.last_used_at),
            str(key.id),
        )
    return table


def _moment(value: datetime | None) -> str:
    return "" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _note(services: Services, action: str, key: KeyView, detail: dict[str, object]) -> None:
    record_action(services, OPERATOR, action, str(key.id), {"tenant": key.tenant, **detail})


if __name__ == "__main__":
    try:
        cli()
    except ScriptoriumError as error:
        print(f"keys: {error.message}", file=sys.stderr)
        sys.exit(1)
