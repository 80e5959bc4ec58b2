"""Look the pinned packages up among known vulnerabilities: `python -m scripts.audit_packages`.

Ends with 1 for a vulnerability that IGNORED does not explain. A package that the service does
not know, as behind a mirror that carries files alone, is counted and not called safe.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKED = ("requirements.txt", "deploy/requirements-web.txt", "requirements-faster-whisper.txt")
TIMEOUT_S = 300
# By id (CVE, GHSA or PYSEC): why it does not concern us, and what would change that.
IGNORED: Mapping[str, str] = {}


@dataclass(frozen=True)
class Audit:
    """What the service said about the pinned packages."""

    known: frozenset[str]
    unknown: frozenset[str]
    vulnerable: tuple[tuple[str, str, str], ...]  # package and version, id, fixed in


class AuditFailed(Exception):
    """The tool ended without an answer; the message is its own."""


def main() -> int:
    """Audit every lock file. Returns the exit code."""
    try:
        found = read_answers([ask(name) for name in LOCKED])
    except AuditFailed as error:
        print(f"packages: not audited, {error}", file=sys.stderr)
        return 0  # without a network there is nothing to learn, and nothing to hold back
    print(summary(found))
    return 1 if found.vulnerable else 0


def ask(name: str) -> str:
    """pip-audit's answer for one lock file, as JSON. Raises AuditFailed."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes"]
    try:
        done = subprocess.run(
            [*command, "--progress-spinner=off", "-f", "json", "-r", str(ROOT / name)],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise AuditFailed(f"no answer within {TIMEOUT_S} s") from error
    if not done.stdout.strip():
        raise AuditFailed((done.stderr.strip() or "no answer").splitlines()[-1])
    return done.stdout


def read_answers(answers: Sequence[str], ignored: Mapping[str, str] = IGNORED) -> Audit:
    """What the answers say together, without the vulnerabilities that are explained."""
    known: set[str] = set()
    unknown: set[str] = set()
    vulnerable: set[tuple[str, str, str]] = set()
    for item in (item for answer in answers for item in json.loads(answer)["dependencies"]):
        (unknown if "skip_reason" in item else known).add(item["name"])
        for weakness in item.get("vulns", ()):
            ids = {weakness["id"], *weakness.get("aliases", ())}
            if not ids & ignored.keys():
                fixed = ", ".join(weakness.get("fix_versions", ())) or "no version yet"
                vulnerable.add((f"{item['name']} {item['version']}", weakness["id"], fixed))
    return Audit(frozenset(known), frozenset(unknown - known), tuple(sorted(vulnerable)))


def summary(found: Audit) -> str:
    """A line for every vulnerability, and one for the whole."""
    lines = [f"{package}: {id_}, fixed in {fixed}" for package, id_, fixed in found.vulnerable]
    whole = f"packages: {len(found.known)} audited, {len(found.vulnerable)} vulnerabilities"
    if found.unknown:
        whole += f"; {len(found.unknown)} not known to the service, so not audited"
    return "\n".join([*lines, whole])


if __name__ == "__main__":
    sys.exit(main())
