"""`python -m client`: runs the command line and turns every ending into an exit code."""

import sys

import click

from client.cli import cli
from client.errors import EXIT_INTERRUPTED, EXIT_USAGE, ClientError
from client.interrupt import Interrupted
from client.progress import error_console, print_error


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code as listed in `client/errors.py`."""
    try:
        code = cli.main(arguments, prog_name="python -m client", standalone_mode=False)
    except Interrupted as interrupted:
        return interrupted.exit_code
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except click.ClickException as problem:
        problem.show()
        return EXIT_USAGE
    except ClientError as error:
        print_error(error_console(), error)
        return error.exit_code
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
