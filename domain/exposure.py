"""What would let strangers in: secrets that can be guessed, addresses that others reach."""

import re
from ipaddress import ip_address

MIN_DIFFERENT_CHARS = 6  # of a secret: 16 random hexadecimal digits have fewer once in 30,000
# What people leave in a configuration, alone, joined and repeated; digits are ignored.
PLACEHOLDER = re.compile(
    r"(?:change|replace|set|insert|put|enter|me|it|this|your|my|our|the|an|a|is|here|now|please|"
    r"secret|password|passwd|pass|pw|admin|administrator|root|user|api|key|token|value|default|"
    r"example|sample|demo|dev|development|prod|production|insecure|unsafe|weak|strong|long|random|"
    r"super|very|todo|placeholder|letmein|welcome|qwertyuiop|qwerty|asdfghjkl|scriptorium|whisper|"
    r"openssl|rand|hex|foo|bar|baz)+"
)

COUNTING = "1234567890" * 10


def is_guessable(secret: str) -> bool:
    """Whether a secret is a placeholder, or hardly anything but repetition."""
    letters = re.sub(r"[^a-z]", "", secret.lower())
    is_placeholder = letters and PLACEHOLDER.fullmatch(letters) and 2 * len(letters) >= len(secret)
    is_counting = secret in COUNTING
    return bool(is_placeholder) or is_counting or len(set(secret.lower())) < MIN_DIFFERENT_CHARS


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine itself, out of reach for others."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
