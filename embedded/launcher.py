"""`make up`: the whole server on one machine, in the foreground."""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pydantic import ValidationError

from config import Settings, load_settings
from domain.errors import ConfigurationError
from embedded import plan
from embedded.credentials import (
    Credentials,
    load_credentials,
    make_private_folder,
    write_api_key,
)
from embedded.default_model import default_model
from embedded.errors import ServiceFailed, StopRequested
from embedded.notice import ready_notice
from embedded.output import PrefixedPrinter
from embedded.ports import LOOPBACK, is_free, next_free_port
from embedded.process import ROOT, child_environment
from embedded.server_file import server_file_path, write_server_file
from embedded.stack import locked
from embedded.stores import Stores, prepare_stores
from embedded.supervisor import Supervisor


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until someone asks for the end. Returns the exit code."""
    options = parse_arguments(arguments)
    os.chdir(ROOT)
    try:
        settings = read_settings()
        with open_printer(options.log, plan.names(settings)) as printer:
            launcher = Launcher(settings, printer, shows_steps=options.log is not None)
            with locked(launcher.data_dir):
                launcher.run(checks_weights=options.weights)
    except StopRequested:
        return 0
    except (ConfigurationError, ServiceFailed) as error:
        print(f"scriptorium: {error.message}", file=sys.stderr)
        return 1
    return 0


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m embedded.launcher", description=__doc__)
    parser.add_argument(
        "--log", type=Path, help="write every process's lines to this file; show only the steps"
    )
    parser.add_argument(
        "--no-weights", dest="weights", action="store_false", help="do not look for the weights"
    )
    return parser.parse_args(arguments)


def read_settings() -> Settings:
    """Read the settings without asking for what the launcher itself will provide.

    Where they do not name a model, the best that this machine can serve is filled in.
    Raises ConfigurationError.
    """
    try:
        settings = Settings()
    except ValidationError:
        return load_settings()  # raises the same as one readable error
    if "model_size" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"model_size": default_model(settings.model_path)})


@contextmanager
def open_printer(log: Path | None, names: Sequence[str]) -> Iterator[PrefixedPrinter]:
    """Where the lines of the processes of these names go: to `log`, or to our own output."""
    if log is None:
        yield PrefixedPrinter(sys.stdout, names, colour=sys.stdout.isatty())
        return
    make_private_folder(log.parent)
    with log.open("w") as stream:
        yield PrefixedPrinter(stream, names, colour=False)


class Launcher:
    """Starts the processes in order and keeps them running."""

    def __init__(self, settings: Settings, printer: PrefixedPrinter, *, shows_steps: bool) -> None:
        self.data_dir = settings.data_dir.resolve()
        self._settings = settings
        self._printer = printer
        self._steps: TextIO | None = sys.stdout if shows_steps else None
        self._supervisor = Supervisor(printer, self.say)

    def say(self, text: str) -> None:
        """Tell people what happens, among the lines of the processes."""
        for line in text.splitlines():
            self._printer.write(plan.LAUNCHER, line)
        if self._steps is not None:
            print(text, file=self._steps, flush=True)

    def run(self, *, checks_weights: bool) -> None:
        """Start everything, serve until asked to stop, stop everything.

        Raises ConfigurationError, ServiceFailed or StopRequested when it comes not so far.
        """
        started_at = time.monotonic()
        credentials = load_credentials(self.data_dir)
        with self._supervisor.signals_handled():
            stores = prepare_stores(self._settings, self.data_dir, credentials)
            settings = self._complete(stores, credentials)
            self._start_stores(stores)
            environment = child_environment(**environment_of(settings))
            if checks_weights and settings.whisper_engine != "fake":
                self._fetch_weights(settings.model_size, environment)
            self.say("bringing the database schema up to date")
            self._supervisor.run_to_end(plan.migration(environment))
            self._start_processes(settings, environment)
            self.say(f"ready after {time.monotonic() - started_at:.1f} s")
            self._serve(settings, credentials)

    def _start_stores(self, stores: Stores) -> None:
        for service in stores.services:
            self.say(f"starting {service.name}")
            self._supervisor.start_and_wait(service)
        stores.check_and_complete()

    def _complete(self, stores: Stores, credentials: Credentials) -> Settings:
        """The settings as the other processes see them, checked."""
        given = self._settings
        chosen = given.model_fields_set
        port = self._choose_port("PORT", given.port, given.host, is_asked_for="port" in chosen)
        flower_port = given.flower_port and self._choose_port(
            "FLOWER_PORT", given.flower_port, LOOPBACK, is_asked_for="flower_port" in chosen
        )
        return load_settings(
            data_dir=self.data_dir,
            model_size=given.model_size,
            database_url=stores.database_url,
            redis_url=stores.redis_url,
            port=port,
            flower_port=flower_port,
            admin_api_key=given.admin_api_key or credentials.admin_api_key,
            flower_basic_auth=given.flower_basic_auth or credentials.flower_basic_auth,
        )

    def _choose_port(self, name: str, wanted: int, host: str, *, is_asked_for: bool) -> int:
        if is_free(wanted, host):
            return wanted
        if is_asked_for:
            raise ConfigurationError(
                f"{name}={wanted} cannot be used on {host}: another program listens there, or "
                f"this user may not. Stop that program or set another {name}"
            )
        port = next_free_port(wanted, host)
        self.say(f"port {wanted} is in use; taking {port} instead (set {name} to choose)")
        return port

    def _fetch_weights(self, model_size: str, environment: dict[str, str]) -> None:
        self.say(f"looking for the weights of {model_size}")
        try:
            self._supervisor.run_to_end(plan.weights(model_size, environment))
        except ServiceFailed as error:
            # The server is of use without them: other models may be there, or may come later.
            self.say(f"{error.message}\njobs for {model_size} will fail until its weights are here")

    def _start_processes(self, settings: Settings, environment: dict[str, str]) -> None:
        workers = plan.workers(settings, environment)
        names = ", ".join(worker.name for worker in workers)
        self.say(f"starting the API, the reconciler and {names}")
        web = self._supervisor.start(plan.web(base_url(settings), environment))
        self._supervisor.start(plan.reconciler(environment))
        for worker in workers:
            self._supervisor.start(worker)
        self._supervisor.wait_until_ready(web)
        if settings.flower_port:  # last: it asks the worker things, and nobody waits for it
            self._supervisor.start(plan.flower(settings.flower_port, environment))

    def _serve(self, settings: Settings, credentials: Credentials) -> None:
        self._steps = None  # from here on the terminal belongs to whoever started us
        write_api_key(self.data_dir, credentials, settings.admin_api_key)
        write_server_file(self.data_dir, base_url(settings))
        try:
            may_show = sys.stdout.isatty()
            self.say(
                ready_notice(settings, credentials, base_url(settings), shows_secrets=may_show)
            )
            self._supervisor.run()
            self.say("stopping")
        finally:
            server_file_path(self.data_dir).unlink(missing_ok=True)


def base_url(settings: Settings) -> str:
    """The address of the API for programs on this machine."""
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 # nosec B104
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def environment_of(settings: Settings) -> dict[str, str]:
    """What the launcher decided, as the environment variables that the processes read."""
    return {
        "DATA_DIR": str(settings.data_dir),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "WHISPER_MODEL_SIZE": settings.model_size,
        "ADMIN_API_KEY": settings.admin_api_key,
        "PORT": str(settings.port),
        "FLOWER_PORT": str(settings.flower_port),
        "FLOWER_BASIC_AUTH": settings.flower_basic_auth,
    }


if __name__ == "__main__":
    sys.exit(main())
