"""Which addresses may be connected to: the public ones, and by name those of one's own network.

The tables follow IANA's registries of special-purpose addresses (RFC 6890 and its successors).
They stand here in full because what Python's `is_global` means has changed between versions.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

# Somebody's own network: refused, unless OUTGOING_ALLOW names the host that leads there.
OWN_4 = tuple(
    IPv4Network(net)
    for net in ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
)
OWN_6 = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))

# Nobody has a server here that a recording could come from.
NEVER_4 = tuple(
    IPv4Network(net)
    for net in (
        *("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
NEVER_6 = tuple(IPv6Network(net) for net in ("2001::/23", "2001:db8::/32", "3fff::/20"))
UNICAST_6 = IPv6Network("2000::/3")  # all that was ever given out; the rest is refused

# Where clouds hand out the credentials of a machine; not even a named host may lead there.
METADATA = frozenset(
    {
        *map(IPv4Address, ("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192")),
        *map(IPv6Address, ("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254")),
    }
)

# An IPv4 address within: network, and how many bits stand behind it.
MAPPED = (IPv6Network("::ffff:0:0/96"), 0)
NAT64 = (IPv6Network("64:ff9b::/96"), 0)
SIX_TO_FOUR = (IPv6Network("2002::/16"), 80)


def may_connect(address: Address, *, is_own_allowed: bool = False) -> bool:
    """Whether a connection to this address is within the rules.

    `is_own_allowed`: private and loopback addresses, too. Metadata services, link-local,
    multicast, unspecified and reserved addresses are refused in any case.
    """
    if isinstance(address, IPv4Address):
        return _may_connect_4(address, is_own_allowed=is_own_allowed)
    if address.scope_id is not None or address in METADATA:
        return False
    for network, shift in (MAPPED, NAT64, SIX_TO_FOUR):
        if address in network:
            within = IPv4Address(int(address) >> shift & 0xFFFF_FFFF)
            return _may_connect_4(within, is_own_allowed=is_own_allowed)
    if any(address in network for network in OWN_6):
        return is_own_allowed
    return address in UNICAST_6 and not any(address in network for network in NEVER_6)


def _may_connect_4(address: IPv4Address, *, is_own_allowed: bool) -> bool:
    if address in METADATA or any(address in network for network in NEVER_4):
        return False
    return is_own_allowed or not any(address in network for network in OWN_4)
