"""procrastinate for `core`: one task that inserts one row. Read by `procrastinate --app`."""

from procrastinate import App, PsycopgConnector

from benchmarks.core_rows import INSERT
from config import get_settings

TASK = "peer.insert_row"

app = App(connector=PsycopgConnector(conninfo=get_settings().database_url))


async def insert_row(number: int) -> None:
    """Insert one row and commit, through the worker's own pool."""
    await app.connector.execute_query_async(INSERT, number=number)


app.task(name=TASK)(insert_row)
