"""A second reconciler beside a running server, kept running as the first one is.

`python -m chaos.second`, with the environment of the server. A process of its own, since a child
is tied to the thread that made it, and the attack has several.
"""

import sys

from embedded import plan
from embedded.output import PrefixedPrinter
from embedded.process import child_environment
from embedded.supervisor import Supervisor

NAME = "second"


def main() -> None:
    """Run until asked to stop."""
    service = plan.reconciler(child_environment())
    printer = PrefixedPrinter(sys.stdout, (NAME, service.name), colour=False)
    supervisor = Supervisor(printer, lambda text: printer.write(NAME, text))
    with supervisor.signals_handled():
        supervisor.start(service)
        supervisor.run()


if __name__ == "__main__":
    main()
