"""Rows about one data channel, and about the fence: the same on each bed."""

import time

from .verdict import end, expect, flows, seen_within

CHANNELS = range(3)
# What the other side is told, and the one that broke it.
BROKEN = ("PEER_LOST", "CHANNEL_LOST")


def stays_up(*peers, since):
    for peer in peers:
        found = peer.heard(("lost",), since)
        expect(not found, f"{peer.name}'s session goes on", found)


def is_restored(listener, writer, channel, since):
    """Fenced, and joined again by both sides' word; then all of them carry data."""
    for peer in (writer, listener):
        peer.hear(("channel_up",), since=since, channel=channel)
    flows(listener, CHANNELS)
    stays_up(listener, writer, since=since)


def channel_lost(listener, writer, channel, formula_s, codes, since):
    """On both sides, and only this one: the others carry data. The writer's word that it is to be
    fenced can overtake what the listener would see of the loss."""
    seen_within(writer, formula_s, ("channel_lost",), codes, since, channel)
    first = listener.hear(("channel_lost", "fenced"), since=since, channel=channel)
    if first["event"] == "channel_lost":
        seen_within(listener, formula_s, ("channel_lost",), codes, since, channel)
    flows(listener, [other for other in CHANNELS if other != channel])
    for peer in (writer, listener):
        for other in peer.heard(("channel_lost",), since):
            expect(other["channel"] == channel, f"{peer.name} loses channel {channel} only", other)


def channel_broken(bed, times, formula_s=0, codes=BROKEN):
    """Broken by the writer, then by the listener."""
    for breaker in ("writer", "listener"):
        listener, writer = bed.join(repair=1, **times)
        since = time.monotonic()
        (writer if breaker == "writer" else listener).ask("break 1", ("broken",))
        channel_lost(listener, writer, 1, formula_s, codes, since)
        is_restored(listener, writer, 1, since)
        end(writer, listener)


def restore_unanswered(bed, times, connect_s):
    """[N20] Nobody lets the channel in again; then somebody does."""
    listener, writer = bed.join(repair=1, **times)
    listener.ask("deaf 1", ("deaf",))
    since = time.monotonic()
    writer.ask("break 1", ("broken",))
    writer.hear(("channel_lost",), since=since, channel=1)
    listener.hear(("fenced",), since=since, channel=1)
    fenced_at = time.monotonic()
    event = seen_within(writer, connect_s, ("channel_lost",), ("TIMEOUT",), fenced_at, 1)
    flows(listener, [0, 2])
    stays_up(listener, writer, since=since)
    listener.ask("deaf 0", ("deaf",))
    is_restored(listener, writer, 1, event["at"])
    end(writer, listener)


def fence_of_stopped(bed, times, stop, cont, codes):
    """[T11] The writer is stopped in mid-stream and fenced; it goes on and changes no byte."""
    listener, writer = bed.join(**times)
    stop(writer)
    listener.ask("fence", ("fenced",))
    expect(listener.ask("late", ("late",))["number"] == 0, "the memory is poison")
    since = time.monotonic()
    cont(writer)
    writer.hear(("lost",), since=since)
    expect(writer.heard(("lost",), since)[0]["code"] in codes, "the writer is told", writer)
    event = listener.ask("late", ("late",))
    print(f"  {event['number']} bytes changed after the fence", flush=True)
    expect(event["number"] == 0, "no byte changes", event)
    end(writer, listener)


def last_channel(bed, times, codes):
    """The last data channel is the session."""
    listener, writer = bed.join(**times)
    since = time.monotonic()
    for channel in CHANNELS:
        writer.tell(f"break {channel}")
    for peer in (writer, listener):
        event = peer.hear(("lost",), since=since)
        expect(event["code"] in codes, f"{peer.name}: one of {codes}", event)
    end(writer, listener)

