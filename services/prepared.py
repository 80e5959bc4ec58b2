"""Statements that each connection parses and plans once.

For the few that every job runs: planning one takes Postgres several times as long as running
it, and psycopg2 has every statement planned anew. A pooler between here and Postgres has to
keep connections to itself for this (session pooling).
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import CursorResult, Executable, TextClause, bindparam, literal_column, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnClause, ColumnElement
from sqlalchemy.types import TypeEngine

Types = Mapping[str, TypeEngine[Any]]
# In a statement whose loss in a crash of Postgres does no harm: its commit does not wait.
RELAX: ColumnElement[Any] = literal_column("set_config('synchronous_commit', 'off', true)")
DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


class Parameters:
    """The parameters of one statement, numbered as they are first asked for."""

    def __init__(self) -> None:
        self.types: dict[str, TypeEngine[Any]] = {}

    def __call__(self, name: str, type_: TypeEngine[Any]) -> ColumnClause[Any]:
        """The place of a value in the statement."""
        self.types.setdefault(name, type_)
        number = [*self.types].index(name) + 1
        return literal_column(f"${number}", type_)


class Prepared:
    """One statement under a name. Constants stand in it as they are: a plan that holds for
    any value of theirs could not use a partial index.
    """

    def __init__(
        self, name: str, build: Callable[[Parameters], Executable], returns: Types
    ) -> None:
        parameters = Parameters()
        statement: Any = build(parameters)
        sql = statement.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True})
        types = ", ".join(type_.compile(DIALECT) for type_ in parameters.types.values())
        self._name = name
        # As the driver gets it: a percent sign of its own would be a place for a value.
        self._prepare = f"PREPARE {name} ({types}) AS {sql}".replace("%%", "%")
        self._execute = _execution(name, parameters.types, returns)

    def run(self, session: Session, values: Mapping[str, Any]) -> CursorResult[Any]:
        """Run it on the session's connection."""
        connection = session.connection()
        known = connection.info.setdefault("prepared", set())
        if self._name not in known:
            connection.exec_driver_sql(self._prepare)
            known.add(self._name)
        return connection.execute(self._execute, dict(values))


def _execution(name: str, takes: Types, returns: Types) -> Executable:
    places = ", ".join(f":{parameter}" for parameter in takes)
    call: TextClause = text(f"EXECUTE {name} ({places})").bindparams(
        *(bindparam(parameter, type_=type_) for parameter, type_ in takes.items())
    )
    return call.columns(**returns) if returns else call
