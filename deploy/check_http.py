"""Health check of a container: `python deploy/check_http.py URL` fails unless it answers."""

import sys
from urllib.request import urlopen

TIMEOUT_S = 3.0


def check(url: str) -> int:
    """0 when the address answers with success, else 1. `url` comes from docker-compose.yml."""
    try:
        with urlopen(url, timeout=TIMEOUT_S):  # noqa: S310 - our own address # nosec B310
            return 0
    except OSError:  # refused, too slow, or a status that is none of success
        return 1


if __name__ == "__main__":
    sys.exit(check(sys.argv[1]))
