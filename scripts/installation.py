"""The installation that a command line works on: the one of the settings, or of `make up`."""

import json
import os
from pathlib import Path

from config import Settings, get_settings
from domain.errors import ConfigurationError
from services.context import Services, build_services


def open_installation() -> Services:
    """Services on the database of this installation. Raises ConfigurationError.

    Without a DATABASE_URL it is the embedded one, which is there while `make up` runs.
    """
    settings = Settings()
    if not settings.database_url:
        os.environ.update(_embedded(settings.data_dir.resolve()))
    get_settings.cache_clear()
    return build_services(get_settings())


def _embedded(data_dir: Path) -> dict[str, str]:
    """The settings that `make up` gave its processes, as far as a command line needs them."""
    # Late: the images of docker-compose.yml have no embedded servers and name their stores.
    from embedded.credentials import load_credentials, secrets_path
    from embedded.postgres import postgres_url
    from embedded.server_file import read_server_file
    from embedded.stack import ports_path
    from embedded.valkey import valkey_url

    if not secrets_path(data_dir).exists() or read_server_file(data_dir) is None:
        raise ConfigurationError(
            f"no server runs on {data_dir}: start it with `make up`, or set DATABASE_URL"
        )
    made = load_credentials(data_dir)
    ports = json.loads(ports_path(data_dir).read_text())
    found = {"DATABASE_URL": postgres_url(ports["postgres"], made.postgres_password)}
    if not os.environ.get("REDIS_URL") and "valkey" in ports:
        found["REDIS_URL"] = valkey_url(ports["valkey"], made.valkey_password)
    if not os.environ.get("ADMIN_API_KEY"):
        found["ADMIN_API_KEY"] = made.admin_api_key
    return found
