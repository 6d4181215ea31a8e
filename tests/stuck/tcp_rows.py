"""The tcp table. A row is a function of the bed; C and P are the timeouts of its sentence."""

import signal
import time

from . import channel_rows
from .namespaces import LISTENER, PORT, WRITER
from .verdict import end, expect, flows, lost_within, nothing_lost, seen_within

CONNECT_S = 2
PEER_S = 1
TIMES = {"connect_ms": CONNECT_S * 1000, "peer_ms": PEER_S * 1000}
# What ends by silence can also end by what the network says about it: no route, no host.
SILENCE = ("TIMEOUT", "PEER_LOST")


def process_killed(bed):
    """[N2] Either one."""
    for victim in ("listener", "writer"):
        listener, writer = bed.join(**TIMES)
        dead, left = (listener, writer) if victim == "listener" else (writer, listener)
        since = time.monotonic()
        dead.send_signal(signal.SIGKILL)
        lost_within(left, 0, ("PEER_LOST",), since)
        end(left)


def host_silent(bed):
    """[N1], [N3] Nothing comes from the other host any more: no packet, no refusal."""
    listener, writer = bed.join(**TIMES)
    since = time.monotonic()
    bed.network.cut()
    lost_within(writer, PEER_S, ("TIMEOUT",), since)
    end(writer)
    end_silent_listener(listener, since)


def end_silent_listener(listener, since):
    """Its other end is gone without a word. It may have nothing pending: it learns by asking."""
    asked_s = time.monotonic() - since
    listener.ask("send", ("sent",))
    lost_within(listener, asked_s + PEER_S, SILENCE, since)
    end(listener)


def link_down(bed):
    """[N4] At either end of the cable, and the whole device."""
    for host, take_down in ((LISTENER, bed.set_link), (WRITER, bed.set_link),
                            (WRITER, lambda host, _: bed.delete_link(host))):
        listener, writer = bed.join(**TIMES)
        since = time.monotonic()
        take_down(host, "down")
        lost_within(writer, PEER_S, SILENCE, since)
        end(writer)
        end_silent_listener(listener, since)
        if take_down == bed.set_link:
            bed.set_link(host, "up")


def link_down_and_up(bed):
    """[N5] Within half of P: nothing is lost."""
    listener, writer = bed.join(connect_ms=CONNECT_S * 1000, peer_ms=20000)
    since = time.monotonic()
    bed.set_link(LISTENER, "down")
    counts = [listener.count(channel) for channel in range(3)]
    while time.monotonic() < since + 1:
        time.sleep(0.1)
    bed.set_link(LISTENER, "up")
    flows(listener, range(3), 20)
    expect(all(listener.count(c) > counts[c] for c in range(3)), "data flows again")
    nothing_lost(writer, since)
    nothing_lost(listener, since)
    end(writer, listener)


def address_removed(bed):
    """[N6] From either host."""
    for host in (LISTENER, WRITER):
        listener, writer = bed.join(**TIMES)
        since = time.monotonic()
        bed.remove_address(host)
        lost_within(writer, PEER_S, SILENCE, since)
        end(writer)
        end_silent_listener(listener, since)
        bed.run(host, "ip", "address", "add", f"{bed.network.between[host]}/30", "dev", "between")


def not_reading(bed):
    """[N7] The owner of the other end does not drive its session."""
    listener, writer = bed.join(**TIMES)
    listener.ask("silent 1", ("silent",))
    since = time.monotonic()
    lost_within(writer, PEER_S, ("TIMEOUT",), since)
    listener.ask("silent 0", ("silent",))
    lost_within(listener, 0, ("PEER_LOST",), since)
    end(writer, listener)


def process_stopped(bed):
    """[N3] The kernel of a stopped process still answers, and takes what fits its buffers."""
    listener, writer = bed.join(**TIMES)
    since = time.monotonic()
    listener.send_signal(signal.SIGSTOP)
    lost_within(writer, PEER_S, ("TIMEOUT",), since)
    since = time.monotonic()
    listener.send_signal(signal.SIGCONT)
    lost_within(listener, 0, ("PEER_LOST",), since)
    end(writer, listener)
    # The other way round nobody waits for anything, so nothing is lost.
    listener, writer = bed.join(**TIMES)
    since = time.monotonic()
    writer.send_signal(signal.SIGSTOP)
    while time.monotonic() < since + 2 * PEER_S:
        time.sleep(0.1)
    writer.send_signal(signal.SIGCONT)
    flows(listener, range(3))
    nothing_lost(listener, since)
    nothing_lost(writer, since)
    end(writer, listener)


def never_answers(bed):
    """[N8] A listener that accepts connections and says nothing, and a path that leads nowhere."""
    listener = bed.start(LISTENER, "listen", deaf=1, **TIMES)
    listener.hear(("listening",))
    since = time.monotonic()
    writer = bed.start(WRITER, "connect", **TIMES)
    lost_within(writer, CONNECT_S, ("TIMEOUT",), since)
    end(writer, listener)

    bed.network.cut()
    since = time.monotonic()
    writer = bed.start(WRITER, "connect", **TIMES)
    lost_within(writer, CONNECT_S, ("TIMEOUT",), since)
    end(writer)


def never_answers_data(bed):
    """[N8], [T4] The control channel is answered, the data channels are not."""
    listener = bed.start(LISTENER, "listen", deaf=2, **TIMES)
    listener.hear(("listening",))
    since = time.monotonic()
    writer = bed.start(WRITER, "connect", **TIMES)
    lost_within(writer, CONNECT_S, ("TIMEOUT",), since)
    lost_within(listener, CONNECT_S, ("TIMEOUT", "PEER_LOST"), since)
    end(writer, listener)


def never_joins(bed):
    """[N9] Who connects and says nothing is dropped, and others join meanwhile."""
    listener = bed.start(LISTENER, "listen", **TIMES)
    listener.hear(("listening",))
    since = time.monotonic()
    program = ("import socket, sys; s = socket.create_connection(sys.argv[1:]);"
               " print(s.recv(1) == b'')")
    bed.run(WRITER, "/usr/bin/python3", "-c", program, bed.network.between[LISTENER], str(PORT))
    seen_within(listener, CONNECT_S, ("turned_away",), ("PROTOCOL",), since)
    writer = bed.start(WRITER, "connect", stream=1, **TIMES)
    listener.hear(("receiving",))
    end(writer)
    lost_within(listener, 0, ("PEER_LOST",), since)
    end(listener)


def channel_broken(bed):
    """[N16] By either side; then its connection is reset, and then silent."""
    channel_rows.channel_broken(bed, TIMES)
    for verdict, formula_s, codes in (("reject with tcp reset", 0, ("PEER_LOST",)),
                                      ("drop", PEER_S, SILENCE)):
        listener, writer = bed.join(repair=1, **TIMES)
        since = time.monotonic()
        bed.filter_port(bed.data_port(), verdict)
        event = seen_within(writer, formula_s, ("channel_lost",), codes, since)
        channel = event["channel"]
        flows(listener, [other for other in range(3) if other != channel])
        channel_rows.is_restored(listener, writer, channel, since)
        bed.unfilter()
        end(writer, listener)


def last_channel(bed):
    """[N16] The last one ends the session."""
    channel_rows.last_channel(bed, TIMES, channel_rows.BROKEN)


def restore_unanswered(bed):
    """[N20] A lost channel joins a listener whose owner does not look."""
    channel_rows.restore_unanswered(bed, TIMES, CONNECT_S)


def fence_of_stopped(bed):
    """[T11], [N3] The writer's process is stopped, fenced and goes on."""
    channel_rows.fence_of_stopped(
        bed, TIMES, lambda writer: writer.send_signal(signal.SIGSTOP),
        lambda writer: writer.send_signal(signal.SIGCONT), SILENCE)


ROWS = {row.__name__: row for row in (
    process_killed, host_silent, link_down, link_down_and_up, address_removed, not_reading,
    process_stopped, never_answers, never_answers_data, never_joins, channel_broken, last_channel,
    restore_unanswered, fence_of_stopped)}
