"""Host patterns and addresses: what a guest may reach."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.network import (
    NetworkPolicy,
    allowed,
    check_patterns,
    is_public,
    normalize_host,
    parse_pattern,
    unwrap,
)

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
# The last label is a word: four numbers would be an address, and nothing is below one.
names = st.lists(labels, max_size=3).map(lambda front: ".".join([*front, "test"]))
ports = st.integers(1, 65535)


@pytest.mark.parametrize(
    ("host", "port", "pattern", "expected"),
    [
        ("example.org", 443, "example.org", True),
        ("example.org", 80, "example.org", True),
        ("example.org", 8080, "example.org", False),
        ("example.org", 8080, "example.org:8080", True),
        ("example.org", 443, "example.org:8080", False),
        ("example.org", 5432, "example.org:*", True),
        ("EXAMPLE.org.", 443, "Example.ORG", True),
        ("a.example.org", 443, "example.org", False),
        ("a.example.org", 443, "*.example.org", True),
        ("a.b.example.org", 443, "*.example.org", True),
        ("example.org", 443, "*.example.org", False),
        ("badexample.org", 443, "*.example.org", False),
        ("anything", 443, "*", True),
        ("anything", 22, "*", False),
        ("anything", 22, "*:*", True),
        ("[2001:DB8:0::1]", 443, "[2001:db8::1]", True),
        ("2001:db8::1", 8443, "[2001:db8::1]:8443", True),
        ("127.0.0.1", 80, "127.0.0.1", True),
    ],
)
def test_patterns(host: str, port: int, pattern: str, *, expected: bool) -> None:
    assert allowed(host, port, [pattern]) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        ":80",
        "a..b",
        "http://a",
        "a b",
        "a/b",
        "a:0",
        "a:65536",
        "a:http",
        "a:",
        "2001:db8::1",
        "2001:db8::1:80",
        *("[::1", "[x]", "*a.org", "a.*.org", "*.", "*.127.0.0.1", "*.[::1]", "ä.org", "-a.org", "a\n", "**"),
    ],
)
def test_bad_patterns_are_named(pattern: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_patterns(["good.org", pattern])
    assert repr(pattern) in str(caught.value)
    with pytest.raises(BadInput):
        NetworkPolicy(allow_hosts=(pattern,))


@pytest.mark.parametrize("network", ["10.0.0.1/8", "10/8/8", "x", "::1/129", ""])
def test_bad_networks_are_named(network: str) -> None:
    with pytest.raises(BadInput) as caught:
        NetworkPolicy(allow_networks=(network,))
    assert repr(network) in str(caught.value)


@given(names, ports)
def test_a_name_matches_itself_and_nothing_matches_no_pattern(name: str, port: int) -> None:
    assert allowed(name, port, [f"{name}:{port}"])
    assert allowed(name.upper() + ".", port, [f"{name}:*"])
    assert not allowed(name, port, [])
    assert allowed(name, port, [name]) is (port in (80, 443))


@given(names, names, ports)
def test_a_wildcard_matches_only_what_is_below(name: str, other: str, port: int) -> None:
    assert allowed(f"{other}.{name}", port, [f"*.{name}:*"])
    assert not allowed(name, port, [f"*.{name}:*"])
    assert not allowed(f"x{name}", port, [f"*.{name}:*"])


@given(st.text(max_size=40))
def test_parsing_raises_nothing_but_bad_input(text: str) -> None:
    for parse in (parse_pattern, normalize_host):
        try:
            parse(text)
        except BadInput:
            continue


@given(names)
def test_normalizing_twice_changes_nothing(name: str) -> None:
    assert normalize_host(normalize_host(name)) == normalize_host(name)


CLOSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.1.2.3",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.9.9.9",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.7",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "fc00::1",
    "fd12::1",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "2001::1",
    "2001:10::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "3fff::1",
    "100::1",
    "4000::1",
]
OPEN = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "198.17.0.1",
    "223.255.255.255",
    "2606:4700::1111",
    "2001:4860::8888",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", CLOSED)
def test_closed_addresses(address: str) -> None:
    assert not is_public(ip_address(address))
    assert not NetworkPolicy().permits(address)


@pytest.mark.parametrize("address", OPEN)
def test_open_addresses(address: str) -> None:
    assert is_public(ip_address(address))
    assert NetworkPolicy().permits(address)


@given(st.ip_addresses(v=4))
def test_what_is_public_is_what_the_standard_library_calls_global(address: IPv4Address) -> None:
    # The library opens a few anycast addresses of 192.0.0.0/24 and calls multicast global; we do neither.
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_a_disguise_changes_nothing(address: IPv4Address) -> None:
    mapped = IPv6Address((0xFFFF << 32) | int(address))
    nat64 = IPv6Address((0x0064_FF9B << 96) | int(address))
    assert unwrap(mapped) == unwrap(nat64) == address
    assert is_public(mapped) is is_public(nat64) is is_public(address)


@given(st.ip_addresses(v=6))
def test_public_ipv6_is_global_unicast(address: IPv6Address) -> None:
    effective = unwrap(address)
    if is_public(address) and isinstance(effective, IPv6Address):
        assert int(effective) >> 125 == 1


def test_the_operator_opens_networks() -> None:
    policy = NetworkPolicy(allow_networks=("127.0.0.0/8", "fd00::/8"))
    assert policy.permits("127.0.0.1")
    assert policy.permits("::ffff:127.0.0.1")
    assert policy.permits("fd00::1")
    assert not policy.permits("10.0.0.1")
    assert not policy.permits("not an address")


def test_opening_all_of_ipv6_opens_no_ipv4_in_disguise() -> None:
    assert not NetworkPolicy(allow_networks=("::/0",)).permits("::ffff:127.0.0.1")
