"""The rows of the matrix by name."""

from dataclasses import dataclass

from matrix import (
    rows_arbiter, rows_cable, rows_control, rows_double, rows_host, rows_input, rows_kill, rows_lab, rows_load,
    rows_network, rows_planned,
)


LAB = "two virtual machines with soft-RoCE"


@dataclass
class Row:
    name: str
    fault: str
    passes: str  # what must hold, besides the judge
    cases: list
    rounds: int  # unless --rounds says otherwise
    bed: str = "namespaces"


ROWS = {
    row.name: row
    for row in (
        Row("F1", "primary killed at each step of a checkpoint", "the secondary goes on",
            rows_kill.F1, 9),
        Row("F2", "primary stopped at each step of a checkpoint, goes on after the take-over",
            "it ends halted, its node joins and can take over", rows_kill.F2, 9),
        Row("F3", "secondary killed or stopped at each step of receiving",
            "the primary goes on alone, and a later copy is exact", rows_kill.F3, 10),
        Row("F4", "controllers killed or stopped on either side or both",
            "a healthy pair goes on in its generation; one that is back decides", rows_control.F4, 10),
        Row("F5", "taking node killed at each step of a take-over",
            "a controller that was started again goes on; no copy left: nobody leads, with advice",
            rows_kill.F5, 12),
        Row("F6", "only the path of the data is cut",
            "no fail-over; SOLO once, PAIR again when it is healed", rows_network.F6, 6),
        Row("F7", "heartbeats cut on one link or all, one way or both; then the session, too",
            "while the session lives nothing but an alarm; else exactly one goes on",
            rows_network.F7, 7),
        Row("F8", "nodes cut off from each other, each side with and without the arbiter",
            "at most one lets out; with the arbiter gone nobody does, and says why",
            rows_network.F8, 4),
        Row("F9", "etcd killed, paused, slow, deaf, lossy; the answer about a decision lost",
            "the pair runs on, no decision; a lost answer is found by its number",
            rows_arbiter.F9, 7, "namespaces, a relay before a real etcd"),
        Row("F10", "frames lost, late, doubled, overtaken, damaged",
            "no role changes; copies and take-overs work all the same", rows_cable.F10, 9,
            "namespaces joined by a cable of the test's own"),
        Row("F11", "stress-ng beside both nodes; controllers that are not scheduled, or for 5 %",
            "no role changes; who was late says so", rows_load.F11, 6),
        Row("F12", "wall clock of the programs jumps and strobes (preloaded); a node pauses 5 s",
            "clocks: nothing; a pause: as F2 and F3", rows_host.F12, 6),
        Row("F13", "arbiter, run or image directory full, read-only or with EIO (tmpfs, preloaded)",
            "a healthy pair goes on; no decision that is not recorded; says why",
            rows_host.F13, 19),
        Row("F14", "fencing that fails, hangs, lies, or fires on both sides",
            "no promotion without its success or the operator's word", rows_arbiter.F14, 8),
        Row("F15", "one of several channels broken; a port flaps; an address is removed",
            "no fail-over; channels come back, and so does the pair", rows_load.F15, 8),
        Row("F16", "a copy interrupted at each step, and when it is recorded; flapping",
            "PAIR is never declared of an incomplete copy", rows_control.F16, 9),
        Row("F17", "planned hand-over under load; who takes part dies at each step",
            "a pause of a few seconds at most, nothing lost", rows_planned.F17, 10),
        Row("F18", "wrong bytes on every socket, replays, another key",
            "refused in one line, nothing crashes, nothing changes", rows_input.F18, 6,
            "namespaces, loopback"),
        Row("F19", "a host's power lost, or it stands still, in mid-write over RDMA",
            "as F1 to F3", rows_lab.F19, 2, LAB),
        Row("F1-rdma", "primary's power lost at each step of a checkpoint", "the secondary goes on",
            rows_lab.F1, 1, LAB),
        Row("F2-rdma", "primary's machine stands still at each step of a checkpoint, goes on later",
            "it ends halted, and its node joins again", rows_lab.F2, 1, LAB),
        Row("F3-rdma", "secondary's power lost, or its machine stands still, at each step of receiving",
            "the primary goes on alone, and a later copy is exact", rows_lab.F3, 1, LAB),
        Row("F15-rdma", "the secondary's device is removed, or its GID is another one for a while",
            "no fail-over; the pair comes back", rows_lab.F15, 2, LAB),
        Row("F20", "two failures at once", "who is unavailable says why and what to type",
            rows_double.F20, 7),
    )
}
