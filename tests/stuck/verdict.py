"""What a row of the table asks for, and when it has failed."""

import time

# Above what the formula of a sentence gives: for a loaded computer and sanitizers.
SLACK_S = 15


class Failed(Exception):
    """A row of the table does not hold."""


def expect(is_true, what, detail=""):
    if not is_true:
        raise Failed(f"{what}: {detail}" if detail else what)


def seen_within(peer, formula_s, names, codes, since, channel=None):
    """The first event of `names` since then. It has to come within the formula and the slack, with
    one of the codes; the time that it took is told."""
    event = peer.hear(names, formula_s + SLACK_S, since=since, channel=channel)
    took_s = event["at"] - since
    print(f"  {peer.name}: {event['event']} {event.get('code', '')} after {took_s:.2f} s "
          f"(formula {formula_s:g} s): {event.get('detail', '')}", flush=True)
    expect(event.get("code") in codes, f"{peer.name}: the cause is one of {codes}", event)
    return event


def lost_within(peer, formula_s, codes, since):
    """LOST. The channels that are lost on the way have such a cause as well."""
    event = seen_within(peer, formula_s, ("lost",), codes, since)
    for other in peer.heard(("channel_lost",), since):
        expect(other["code"] in codes, f"{peer.name}: its channels' causes are of {codes}", other)
    return event


def nothing_lost(peer, since):
    found = peer.heard(("lost", "channel_lost"), since)
    expect(not found, f"{peer.name} lost nothing", found)


def flows(listener, channels, timeout_s=SLACK_S):
    """Notices arrive on each of the channels."""
    before = {channel: listener.count(channel) for channel in channels}
    deadline = time.monotonic() + timeout_s
    while waiting := [c for c in channels if listener.count(c) <= before[c]]:
        expect(time.monotonic() < deadline, f"data flows on channels {waiting}")
        time.sleep(0.05)


def end(*peers):
    """In order, and none of them hangs."""
    for peer in peers:
        status = peer.end(SLACK_S)
        expect(status == 0, f"{peer.name} ends in order", status)
