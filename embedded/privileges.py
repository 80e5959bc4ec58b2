"""Which user Postgres runs as. It refuses root, and initdb refuses a user without a name."""

import os
import pwd
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.errors import ConfigurationError

NOBODY_ID = 65_534  # has a passwd entry on every Linux
PROBE_TIMEOUT_S = 30.0
# What a server process may see of the environment: nothing of ours.
BARE_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/nonexistent",
    "TZ": "UTC",
}


@dataclass(frozen=True)
class Identity:
    """A way to run a program: words before its command line, and the owner its files need."""

    name: str
    prefix: tuple[str, ...]
    owner_id: int

    def command(self, *argv: str) -> tuple[str, ...]:
        """The command line that runs `argv` under this identity."""
        return (*self.prefix, *argv)

    def lasting_command(self, *argv: str) -> tuple[str, ...]:
        """The same for a server, which gets SIGINT when its parent dies.

        Changing the user clears the death signal that was set before, hence once more.
        """
        return (*self.prefix, *(("--pdeathsig", "INT") if self.prefix else ()), *argv)


DROP_TO_NOBODY = (
    "setpriv", f"--reuid={NOBODY_ID}", f"--regid={NOBODY_ID}", "--clear-groups",
)  # fmt: skip
NOBODY = Identity("nobody", DROP_TO_NOBODY, NOBODY_ID)
# For a checkout in root's own home, where nobody cannot go. The capability alone is not
# enough: access(2) asks with the real user's rights unless setuid fix-ups are off.
NOBODY_WITH_OVERRIDE = Identity(
    "nobody+dac_override",
    (
        *DROP_TO_NOBODY,
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
        "--securebits=+no_setuid_fixup",
    ),
    NOBODY_ID,
)


def user_namespace() -> Identity:
    """Our own user under the name of nobody: same rights on files, neither root nor nameless."""
    maps = (f"--map-user={NOBODY_ID}", f"--map-group={NOBODY_ID}")
    prefix = ("unshare", "--user", *maps, "setpriv", "--no-new-privs")
    return Identity("user namespace", prefix, os.getuid())


def has_user_name() -> bool:
    """Say whether our user id has a passwd entry; on OpenShift and with `docker -u` it may not."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return True


def candidates() -> Sequence[Identity]:
    """Identities worth trying on this machine, the one with the fewest rights first."""
    if os.getuid() == 0:
        return (NOBODY, user_namespace(), NOBODY_WITH_OVERRIDE)
    if has_user_name():
        return (Identity("plain", (), os.getuid()),)
    return (user_namespace(),)


def choose_identity(binaries: Path, folder: Path) -> Identity:
    """Find an identity that can run the servers in `binaries` and own `folder`.

    Makes that identity the owner of `folder` and of all in it. Raises ConfigurationError
    when none works.
    """
    reasons = []
    for identity in candidates():
        try:
            os.chown(folder, identity.owner_id, -1)
            probe(identity, binaries, folder)
            hand_over(folder, identity.owner_id)
        except (OSError, subprocess.SubprocessError) as error:
            reasons.append(f"{identity.name}: {describe(error)}")
        else:
            return identity
    raise ConfigurationError(
        "the embedded Postgres cannot run as this user "
        f"({'; '.join(reasons)}). Set DATABASE_URL to a Postgres of your own, "
        "or start as an ordinary user"
    )


def probe(identity: Identity, binaries: Path, folder: Path) -> None:
    """Run the programs and write to the folder as `identity`; raises what went wrong."""
    script = (
        'set -e; cd /; "$0/postgres" --version; "$0/initdb" --version; '
        'test "$(id -u)" -ne 0; touch "$1/.probe"; rm "$1/.probe"'
    )
    subprocess.run(
        identity.command("sh", "-c", script, str(binaries), str(folder)),
        env=BARE_ENVIRONMENT,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=PROBE_TIMEOUT_S,
    )


def hand_over(folder: Path, owner_id: int) -> None:
    """Make a user the owner of all in a folder that is not theirs yet.

    The identity changes when a checkout moves from a public folder into a private one.
    """
    for path in walk(folder):
        if path.lstat().st_uid != owner_id:
            os.chown(path, owner_id, -1, follow_symlinks=False)


def walk(folder: Path) -> Iterator[Path]:
    """Everything below a folder; links are named, not followed."""
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield Path(parent, name)


def describe(error: OSError | subprocess.SubprocessError) -> str:
    """The last line of what a failed probe said."""
    if isinstance(error, subprocess.CalledProcessError):
        said = (error.stderr or "").strip().splitlines()
        return said[-1] if said else f"exit code {error.returncode}"
    return str(error)
