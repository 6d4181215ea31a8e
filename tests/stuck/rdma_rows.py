"""The rdma table, on soft-RoCE. A row is a function of the bed; C and P are as in its sentence."""

import signal
import time

from . import channel_rows
from .machines import LISTENER, WRITER
from .verdict import SLACK_S, end, expect, flows, lost_within, nothing_lost

CONNECT_S = 5
PEER_S = 2
HELD_PEER_S = 5  # both machines have more to do before it is over
# The device may take so long to give back what was posted.
FLUSH_S = 0.2
TIMES = {"connect_ms": CONNECT_S * 1000, "peer_ms": PEER_S * 1000}
# The device can find out by itself, in its own time, before P has passed.
SILENCE = ("TIMEOUT", "PEER_LOST")


def process_killed(bed):
    """[N10] Either one."""
    listener, writer = bed.join(**TIMES)
    since = time.monotonic()
    listener.send_signal(signal.SIGKILL)
    lost_within(writer, PEER_S + FLUSH_S, SILENCE, since)
    end(writer)
    listener, writer = bed.join(**TIMES)
    since = time.monotonic()
    writer.send_signal(signal.SIGKILL)
    lost_within(listener, 0, ("PEER_LOST",), since)
    end(listener)


def host_stopped(bed):
    """[N11] The listener's machine freezes; the writer's does, and goes on within P."""
    listener, writer = bed.join(**TIMES)
    since = time.monotonic()
    bed.machine(LISTENER).stop()
    lost_within(writer, PEER_S + FLUSH_S, SILENCE, since)
    end(writer)
    bed.machine(LISTENER).cont()
    end(listener)

    listener, writer = bed.join(connect_ms=CONNECT_S * 1000, peer_ms=10000)
    since = time.monotonic()
    bed.machine(WRITER).stop()
    while time.monotonic() < since + 3:
        time.sleep(0.1)
    bed.machine(WRITER).cont()
    flows(listener, range(3), 30)
    nothing_lost(listener, since)
    nothing_lost(writer, since)
    end(writer, listener)


def listener_asks_stopped_host(bed):
    """[N1] Who sends a message to a frozen machine is told."""
    listener, writer = bed.join(**TIMES)
    bed.machine(WRITER).stop()
    since = time.monotonic()
    listener.ask("send", ("sent",))
    lost_within(listener, PEER_S + FLUSH_S, SILENCE, since)
    end(listener)
    bed.machine(WRITER).cont()
    lost_within(writer, PEER_S + FLUSH_S, SILENCE, since)
    end(writer)


def _port_ends(bed, end_port, mend_port):
    """At either host in turn: the side whose port it is is told at once, the other by silence."""
    for host in (LISTENER, WRITER):
        listener, writer = bed.join(**TIMES)
        since = time.monotonic()
        end_port(host)
        near, far = (listener, writer) if host == LISTENER else (writer, listener)
        lost_within(near, 0, ("DEVICE",), since)
        if far is listener:
            listener.ask("send", ("sent",))
        lost_within(far, PEER_S + FLUSH_S, SILENCE, since)
        mend_port(host)
        end(writer, listener)
        bed.wait_whole()


def cable_pulled(bed):
    """[N12] At either end."""
    _port_ends(bed, bed.pull_cable, bed.plug_cable)


def link_down(bed):
    """[N12] The operator takes the port down; up again, a new session joins."""
    _port_ends(
        bed, lambda host: bed.set_link(host, "down"), lambda host: bed.set_link(host, "up")
    )


def packets_held(bed):
    """[N21], [N12] The port of the listener's machine is down and takes nothing: the network holds
    packets of the writer, and so the writer's device keeps their queue pairs."""
    listener, writer = bed.join(connect_ms=CONNECT_S * 1000, peer_ms=HELD_PEER_S * 1000)
    since = time.monotonic()
    bed.set_link(LISTENER, "down")
    lost_within(listener, 0, ("DEVICE",), since)
    writer.ask("break 1", ("broken",))
    lost_within(writer, HELD_PEER_S + FLUSH_S, (*SILENCE, *channel_rows.BROKEN), since)
    freed_at = time.monotonic()
    writer.tell("end")
    seen = writer.hear(("ended",), SLACK_S, since=freed_at)
    print(f"  writer: freed after {seen['at'] - freed_at:.2f} s", flush=True)
    bed.set_link(LISTENER, "up")
    expect(writer.wait(SLACK_S) == 0, "the writer ends in order")
    end(listener)
    bed.wait_whole()


def address_removed(bed):
    """[N13] From either host."""
    _port_ends(bed, bed.remove_address, bed.add_address)


def not_reading(bed):
    """[N14] The owner of the other end does not drive its session: its receives run out."""
    listener, writer = bed.join(**TIMES)
    listener.ask("silent 1", ("silent",))
    since = time.monotonic()
    event = lost_within(writer, PEER_S + FLUSH_S, SILENCE, since)
    expect("RNR" in event["detail"] or event["code"] == "TIMEOUT", "the cause is named", event)
    listener.ask("silent 0", ("silent",))
    lost_within(listener, 0, ("PEER_LOST",), since)
    end(writer, listener)


def never_answers(bed):
    """[N15] A listener whose owner never looks."""
    listener = bed.start(LISTENER, "listen", deaf=1, **TIMES)
    listener.hear(("listening",))
    since = time.monotonic()
    writer = bed.start(WRITER, "connect", **TIMES)
    lost_within(writer, CONNECT_S + FLUSH_S, ("TIMEOUT",), since)
    end(writer, listener)


def never_joins(bed):
    """[N15], [T4] The control channel is answered, the data channels are not."""
    listener = bed.start(LISTENER, "listen", deaf=2, **TIMES)
    listener.hear(("listening",))
    since = time.monotonic()
    writer = bed.start(WRITER, "connect", **TIMES)
    lost_within(writer, CONNECT_S + FLUSH_S, SILENCE, since)
    lost_within(listener, CONNECT_S + FLUSH_S, SILENCE, since)
    end(writer, listener)


def channel_broken(bed):
    """[N17] One data channel's queue pair goes to ERR, on either side; it comes back."""
    channel_rows.channel_broken(bed, TIMES, PEER_S + FLUSH_S, (*channel_rows.BROKEN, "TIMEOUT"))


def last_channel(bed):
    """[N17] The last one ends the session."""
    channel_rows.last_channel(bed, TIMES, (*channel_rows.BROKEN, "TIMEOUT"))


def restore_unanswered(bed):
    """[N20] A lost channel joins a listener whose owner does not look."""
    channel_rows.restore_unanswered(bed, TIMES, CONNECT_S + FLUSH_S)


def fence_of_stopped(bed):
    """[T11] The writer's machine is stopped, fenced and goes on."""
    channel_rows.fence_of_stopped(
        bed, TIMES, lambda writer: writer.machine.stop(), lambda writer: writer.machine.cont(),
        SILENCE)


ROWS = {row.__name__: row for row in (
    process_killed, host_stopped, listener_asks_stopped_host, cable_pulled, link_down,
    packets_held, address_removed, not_reading, never_answers, never_joins, channel_broken,
    last_channel, restore_unanswered, fence_of_stopped)}
