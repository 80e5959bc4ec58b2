"""Which database and which broker the server uses: the ones named in the settings, or our own."""

from dataclasses import dataclass
from pathlib import Path

import psycopg2

from config import Settings
from domain.errors import ConfigurationError
from embedded.credentials import Credentials
from embedded.ports import remembered_port
from embedded.postgres import (
    CONNECT_TIMEOUT_S,
    ensure_database,
    postgres_url,
    prepare_postgres,
)
from embedded.service import Service
from embedded.stack import ports_path
from embedded.valkey import answers, prepare_valkey, valkey_url


@dataclass(frozen=True)
class Stores:
    """The two addresses, and the services to start for those that are embedded."""

    database_url: str
    redis_url: str
    services: tuple[Service, ...]
    server_url: str  # of the embedded Postgres, to make our database in; empty with an own one

    def check_and_complete(self) -> None:
        """With everything started: make the database, and see that foreign stores answer.

        Raises ConfigurationError.
        """
        if self.server_url:
            ensure_database(self.server_url)
        else:
            check_database(self.database_url)
        if not answers(self.redis_url):
            raise ConfigurationError("nothing answers at REDIS_URL: is it started, is it right?")


def prepare_stores(settings: Settings, data_dir: Path, credentials: Credentials) -> Stores:
    """Decide and prepare. Raises ConfigurationError or ServiceFailed."""
    services: list[Service] = []
    database_url, redis_url, server_url = settings.database_url, settings.redis_url, ""
    if not database_url:
        port = remembered_port(ports_path(data_dir), "postgres")
        password = credentials.postgres_password
        services.append(prepare_postgres(data_dir, port=port, password=password))
        database_url = postgres_url(port, password)
        server_url = postgres_url(port, password, "postgres")
    if not redis_url:
        port = remembered_port(ports_path(data_dir), "valkey")
        password = credentials.valkey_password
        services.append(prepare_valkey(data_dir, port=port, password=password))
        redis_url = valkey_url(port, password)
    return Stores(database_url, redis_url, tuple(services), server_url)


def check_database(url: str) -> None:
    """Raise ConfigurationError unless a database answers at a foreign DATABASE_URL."""
    try:
        # libpq does not know the driver's name that SQLAlchemy wants in an address.
        address = url.replace("+psycopg2", "", 1)
        psycopg2.connect(address, connect_timeout=CONNECT_TIMEOUT_S).close()
    except psycopg2.Error as error:
        raise ConfigurationError(f"DATABASE_URL cannot be used: {str(error).strip()}") from error
