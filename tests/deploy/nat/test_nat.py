"""Peers behind NATs: direct, relayed, relay lost, address changed. Jobs go on, no effect happens twice."""

from __future__ import annotations

from tests.deploy.nat.conftest import PLANE_PORT, WORKER_PORT, Far
from tests.deploy.nat.relay import URL, Relay

RELAY = ("--relay", URL)


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
    relay.start()
    far.went_on(job)


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
    relayed = {(PUBLIC, "tcp", PORT)}
    web = {(PUBLIC, "tcp", int(far.web.url.rpartition(":")[2]))}
    peers = {"10.1.0.2", "10.2.0.2", "10.1.0.1", "10.2.0.1"}
    for site, known in ((far.net.left, relayed), (far.net.right, relayed | web)):
        others = {one for one in far.net.seen(site) - known if one[0] not in peers}
        assert others == set()
        assert relayed <= far.net.seen(site)


def test_without_a_relay_the_control_plane_opens_no_conversation(far: Far) -> None:
    far.net.open_port(far.net.left, PLANE_PORT)
    far.start(plane=("--p2p-external", f"{far.net.left.address}:{PLANE_PORT}"))
    job = far.submit()
    far.web.at_the_gate()
    far.web.gate.set()
    far.went_on(job)
    print(far.net.seen(far.net.left), far.net.seen(far.net.right))
    assert far.net.seen(far.net.left) == set()


def _meet_directly(far: Far) -> None:
    far.start(
        plane=(*RELAY, "--p2p-external", f"{far.net.left.address}:{PLANE_PORT}"),
        worker=(*RELAY, "--p2p-external", f"{far.net.right.address}:{WORKER_PORT}"),
    )
    far.path("direct")
