"""What people are told once the server is up."""

import shlex

from config import Settings
from embedded.credentials import Credentials, api_key_path, secrets_path


def ready_notice(
    settings: Settings, credentials: Credentials, url: str, *, shows_secrets: bool
) -> str:
    """What people need once the server is up: addresses, keys, and a line to try.

    Secrets that we made stand in it only when `shows_secrets` says that a person reads it;
    else it names the file. Those that were given to us never do.
    """
    where = f"in {secrets_path(settings.data_dir)}"
    rows = [("API", url), ("Documentation", f"{url}/docs")]
    if settings.flower_port:
        rows.append(("Flower", f"http://127.0.0.1:{settings.flower_port}"))
        rows.append(("Flower login", flower_login(settings, credentials, where, shows_secrets)))
    if settings.admin_api_key == credentials.admin_api_key:
        rows.append(("Admin key", credentials.admin_api_key if shows_secrets else where))
    else:
        rows.append(("Admin key", "the ADMIN_API_KEY you set"))
    header = key_header(settings, credentials)
    rows.append(("Try it", f"curl {header}-F file=@recording.mp3 {url}/transcribe/"))
    rows.append(("Stop it", "Ctrl-C"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


def key_header(settings: Settings, credentials: Credentials) -> str:
    """The part of a curl line that brings the key, without showing it."""
    if settings.auth == "off":
        return ""
    if settings.admin_api_key != credentials.admin_api_key:
        return '-H "X-API-Key: $ADMIN_API_KEY" '
    path = shlex.quote(str(api_key_path(settings.data_dir)))
    return f'-H "X-API-Key: $(cat {path})" '


def flower_login(
    settings: Settings,
    credentials: Credentials,
    where: str,
    shows_secrets: bool,  # noqa: FBT001
) -> str:
    """User and password of Flower, or where they are."""
    if settings.flower_basic_auth != credentials.flower_basic_auth:
        return "the FLOWER_BASIC_AUTH you set"
    user, _, password = credentials.flower_basic_auth.partition(":")
    return f"{user} / {password}" if shows_secrets else f"{user}, password {where}"
