"""A launcher of stubs: `python -m ...stub_launcher FOLDER BEHAVIOUR:NAME ...`."""

import sys
from functools import partial
from pathlib import Path

from embedded.output import PrefixedPrinter
from embedded.service import Service
from embedded.supervisor import Supervisor

HURRIED_STORE_S = 5.0  # as the real stores have, which are to write what they hold


def stub_service(folder, behaviour, name, **fields):
    ready = folder / f"{name}.pid"
    if name == "store":
        fields.setdefault("hurried_stop_timeout_s", HURRIED_STORE_S)
    return Service(
        name=name,
        argv=(
            sys.executable,
            "-m",
            "tests.integration.embedded.stub",
            behaviour,
            name,
            str(folder),
        ),
        is_ready=ready.exists,
        **fields,
    )


def main(folder, stubs):
    names = [stub.partition(":")[2] for stub in stubs]
    printer = PrefixedPrinter(sys.stdout, ["launcher", *names], colour=False)
    supervisor = Supervisor(printer, partial(printer.write, "launcher"))
    with supervisor.signals_handled():
        for stub in stubs:
            behaviour, _, name = stub.partition(":")
            supervisor.start_and_wait(stub_service(folder, behaviour, name))
        (folder / "ready").touch()
        supervisor.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
