"""The secrets of the embedded servers: made once, kept in one file that only its owner reads."""

import json
import os
import secrets
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from domain.errors import ConfigurationError

SECRET_BYTES = 24  # 192 bits
FLOWER_USER = "scriptorium"


@dataclass(frozen=True)
class Credentials:
    """What `<data_dir>/secrets.json` holds. Never printed by accident: no field is in the repr."""

    postgres_password: str = field(repr=False)
    valkey_password: str = field(repr=False)
    admin_api_key: str = field(repr=False)
    flower_basic_auth: str = field(repr=False)  # user:password


def make_credentials() -> Credentials:
    """Draw new secrets; all of them are safe in a URL and on a shell line."""
    return Credentials(
        postgres_password=secrets.token_urlsafe(SECRET_BYTES),
        valkey_password=secrets.token_urlsafe(SECRET_BYTES),
        admin_api_key=secrets.token_urlsafe(SECRET_BYTES),
        flower_basic_auth=f"{FLOWER_USER}:{secrets.token_urlsafe(SECRET_BYTES)}",
    )


def secrets_path(data_dir: Path) -> Path:
    """Where the secrets of this data folder stand."""
    return data_dir / "secrets.json"


def api_key_path(data_dir: Path) -> Path:
    """Where the admin key stands alone, for command lines and for our own client."""
    return data_dir / "api-key"


def write_api_key(data_dir: Path, credentials: Credentials, admin_api_key: str) -> None:
    """Keep the admin key in its file if we made it: one that was given to us stays where it is."""
    path = api_key_path(data_dir)
    if admin_api_key == credentials.admin_api_key:
        write_private(path, f"{admin_api_key}\n")
    else:
        path.unlink(missing_ok=True)


def load_credentials(data_dir: Path) -> Credentials:
    """Read the secrets of this data folder, or make them on first use.

    Raises ConfigurationError when the file is there but is not what we wrote.
    """
    path = secrets_path(data_dir)
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        write_private(path, json.dumps(asdict(make_credentials()), indent=2) + "\n")
    path.chmod(0o600)
    try:
        content = json.loads(path.read_text())
        return Credentials(**{f.name: str(content[f.name]) for f in fields(Credentials)})
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{path} is damaged. Bring it back from a backup; without it the embedded Postgres "
            f"in {data_dir / 'postgres'} cannot be opened"
        ) from error


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 in one step: readers see the old one or all of the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)


def make_private_folder(folder: Path) -> None:
    """Make a folder of mode 0700, or give one that exists this mode."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
