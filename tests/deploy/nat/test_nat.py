"""Peers behind NATs: direct, relayed, relay lost, address changed. Jobs go on, no effect happens twice."""

from __future__ import annotations

import pytest

from tests.deploy.nat.conftest import PLANE_PORT, WORKER_PORT, Far
from tests.deploy.nat.internet import PUBLIC, Site
from tests.deploy.nat.relay import PORT, URL, Relay
from tests.deploy.network import Key

# iroh looks for a direct path once a minute, and for another relay only now and then.
pytestmark = pytest.mark.timeout(500)
RELAY = ("--relay", URL)
GATEWAY_SEARCH: set[Key] = {("239.255.255.250", "udp", 1900)}
"""iroh looks for a gateway that maps ports (UPnP), in the local network only; that cannot be switched off."""


def test_a_forwarded_port_is_enough_and_no_relay_is_used(far: Far) -> None:
    far.net.open_port(far.net.left, PLANE_PORT)
    far.start(plane=("--p2p-external", f"{far.net.left.address}:{PLANE_PORT}"))
    job = far.submit()
    far.web.at_the_gate()
    far.path("direct")
    far.web.gate.set()
    far.went_on(job)


def test_two_nats_meet_at_the_relay_and_go_on_directly(far: Far, relay: Relay) -> None:
    _meet_directly(far)
    job = far.submit()
    far.web.at_the_gate()
    far.web.gate.set()
    far.went_on(job)


def test_without_a_direct_path_everything_goes_over_the_relay(far: Far, relay: Relay) -> None:
    far.net.block_direct()
    far.start(plane=RELAY, worker=RELAY)
    job = far.submit()
    far.web.at_the_gate()
    far.path("relayed")
    far.web.gate.set()
    far.went_on(job)
    assert far.sessions == 1


def test_a_relay_sees_who_speaks_to_whom_but_not_what(far: Far, relay: Relay) -> None:
    far.net.block_direct()
    with far.net.overheard() as packets:
        far.start(plane=RELAY, worker=RELAY)
        job = far.submit()
        far.web.at_the_gate()
        far.web.gate.set()
        far.went_on(job)
    heard = b"".join(packets)
    # The job's output: each of its lines has a thousand of them. What clients send is masked by the protocol,
    # what the relay passes on is not.
    assert b"z" * 100 in far.rig.cluster.ok("job", "logs", job).encode()
    assert b"z" * 100 not in heard
    assert bytes.fromhex(far.seen["id"]) in heard


def test_a_direct_path_that_is_lost_is_replaced_by_the_relay(far: Far, relay: Relay) -> None:
    _meet_directly(far)
    job = far.submit()
    far.web.at_the_gate()
    far.net.block_direct()
    far.web.gate.set()
    far.went_on(job)
    far.path("relayed")


def test_a_job_on_a_direct_path_does_not_need_the_relay(far: Far, relay: Relay) -> None:
    _meet_directly(far)
    job = far.submit()
    far.web.at_the_gate()
    relay.kill()
    far.web.gate.set()
    far.went_on(job)
    assert (far.seen["path"], far.sessions) == ("direct", 1)


def test_a_relay_that_is_lost_and_comes_back_within_the_lease_costs_nothing(far: Far, relay: Relay) -> None:
    far.net.block_direct()
    far.start(plane=RELAY, worker=RELAY)
    job = far.submit()
    far.web.at_the_gate()
    relay.kill()
    far.web.gate.set()
    assert far.web.posts == {"/before": 1}, "an effect left although what came before it was not durable"
    relay.start()
    far.went_on(job)


def test_the_ticket_file_names_another_relay_when_one_is_lost(far: Far, relay: Relay, spare: Relay) -> None:
    both = ("--relay", relay.url, "--relay", spare.url)
    far.net.block_direct()
    far.start(plane=both, worker=both)
    job = far.submit()
    far.web.at_the_gate()
    before = far.relay()
    (relay if before == relay.url + "/" else spare).kill()
    far.until(lambda: far.relay() != before, "the ticket names the other relay")
    far.web.gate.set()
    far.done_once(job)


def test_a_worker_whose_address_changes_goes_on(far: Far, relay: Relay) -> None:
    far.net.block_direct()
    far.start(plane=RELAY, worker=RELAY)
    job = far.submit()
    far.web.at_the_gate()
    far.net.renumber_host(far.net.right)
    far.net.renumber_nat(far.net.right)
    far.web.gate.set()
    far.went_on(job)


def test_a_control_plane_whose_address_changes_is_found_by_the_relay(far: Far, relay: Relay) -> None:
    _meet_directly(far)
    job = far.submit()
    far.web.at_the_gate()
    far.net.renumber_host(far.net.left)
    far.net.renumber_nat(far.net.left)
    far.web.gate.set()
    far.went_on(job)


def test_a_ticket_file_follows_the_addresses_of_the_control_plane(far: Far) -> None:
    far.net.open_port(far.net.left, PLANE_PORT)
    far.start(plane=("--p2p-external", f"{far.net.left.address}:{PLANE_PORT}"))
    before = far.rig.cluster.ticket.read_text()
    far.net.renumber_host(far.net.left)
    far.until(lambda: far.rig.cluster.ticket.read_text() != before, "the ticket has the new address")


def test_nobody_is_asked_but_the_relay_and_the_peer(far: Far, relay: Relay) -> None:
    far.start(plane=RELAY, worker=RELAY)
    job = far.submit()
    far.web.at_the_gate()
    far.web.gate.set()
    far.went_on(job)
    # The relay: its protocol, a look whether a portal stands in between, and what it sees our address as.
    relay_itself: set[Key] = {
        (PUBLIC, "tcp", PORT),
        (PUBLIC, "tcp", 80),
        (PUBLIC, "udp", 7842),
    }
    for site in (far.net.left, far.net.right):
        assert (PUBLIC, "tcp", PORT) in far.net.seen(site)
        assert beyond_peers(far, site) <= relay_itself | GATEWAY_SEARCH


def test_without_a_relay_nobody_is_asked_at_all(far: Far) -> None:
    far.net.open_port(far.net.left, PLANE_PORT)
    far.start(plane=("--p2p-external", f"{far.net.left.address}:{PLANE_PORT}"))
    job = far.submit()
    far.web.at_the_gate()
    far.web.gate.set()
    far.went_on(job)
    for site in (far.net.left, far.net.right):
        assert beyond_peers(far, site) <= GATEWAY_SEARCH


def beyond_peers(far: Far, site: Site) -> set[Key]:
    """To where the site's host opened conversations, but for addresses of the two peers."""
    peers = {f"{one.inner}.2" for one in (far.net.left, far.net.right)}
    peers |= {one.address for one in (far.net.left, far.net.right)}
    return {one for one in far.net.seen(site) if one[0] not in peers}


def _meet_directly(far: Far) -> None:
    far.start(
        plane=(*RELAY, "--p2p-external", f"{far.net.left.address}:{PLANE_PORT}"),
        worker=(*RELAY, "--p2p-external", f"{far.net.right.address}:{WORKER_PORT}"),
    )
    far.path("direct")
