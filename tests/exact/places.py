"""Where a checkpoint is interrupted, and how. The names are failpoints of docs/testing.md."""

import itertools
from dataclasses import dataclass

KILL = "kill"  # the program at its own failpoint
PAUSE = "pause"  # the standby stops there, the program is killed, the standby goes on
RECOPY = "recopy"  # the standby is killed there, copies anew, then the program is killed
TAKING = "taking"  # the program is killed, and the standby is stopped there for a moment
FIRST = "first"  # the program is killed there before any copy is full: nobody may be promoted

# What makes a rare place passed once the pair works.
NOTHING, SESSION, CHANNEL = "", "session", "channel"

EPOCH = ("run", "scan", "tracker", "rearm", "scanned", "push", "pushed", "seal_blob", "seal_list",
         "seal", "sealed", "settle", "wait", "resume", "committed", "apply", "reply")
STANDBY_EPOCH = ("standby_seal", "standby_taken", "standby_commit", "standby_committed",
                 "standby_acknowledged", "standby_apply", "standby_applied", "standby_told")
RESUME = ("session_lost", "connect", "hello", "welcome")
STANDBY_RESUME = ("standby_hello", "standby_drain", "standby_drained", "standby_prepare",
                  "standby_prepared", "standby_welcome")
REPAIR = ("fence_asked", "fence_answered")
STANDBY_REPAIR = ("standby_channels", "standby_channels_fenced")
COPY = ("copy", "slice", "sliced")
STAGED = ("stage", "drain")
TAKE_OVER = ("standby_fence", "standby_fenced", "standby_state", "standby_activate")


@dataclass(frozen=True)
class Place:
    name: str
    how: str
    breaks: str = NOTHING
    passage: int = 1  # of a rare place: the first one that is meant
    needs_stage: bool = False  # passed with capture = "stage" only
    needs_stop: bool = False  # passed with capture = "stop" only
    is_early: bool = False  # passed while the first copy is made

    @property
    def is_rare(self):
        return self.breaks != NOTHING or self.is_early or self.how in (TAKING, FIRST)

    def can_be_met(self, combination):
        """The loss of the only channel is the session's; one of RDMA is not broken from outside."""
        if self.needs_stage and combination["capture"] != "stage":
            return False
        if self.needs_stop and combination["capture"] == "stage":
            return False
        return self.breaks != CHANNEL or (
            combination["channels"] != "1" and combination.get("provider") != "rdma")

    def __str__(self):
        return f"{self.name}, {self.how}"


GROUPS = (
    [Place(name, KILL, needs_stop=name == "pushed") for name in EPOCH],
    [Place(name, PAUSE) for name in STANDBY_EPOCH],
    [Place(name, KILL, SESSION, 1 if name == "session_lost" else 2) for name in RESUME],
    [Place(name, RECOPY) for name in STANDBY_EPOCH] + [Place("standby_room", RECOPY, is_early=True)],
    [Place(name, KILL, CHANNEL) for name in REPAIR],
    [Place(name, PAUSE, SESSION, 1 if "drain" in name else 2) for name in STANDBY_RESUME],
    [Place(name, TAKING) for name in TAKE_OVER],
    [Place(name, PAUSE, CHANNEL) for name in STANDBY_REPAIR],
    [Place(name, FIRST) for name in COPY],
    [Place(name, KILL, needs_stage=True) for name in STAGED],
)
PLACES = [place for group in GROUPS for place in group]


def spread(count, rng):
    """So many places, of as many groups as there can be."""
    groups = [itertools.cycle(rng.sample(group, len(group))) for group in GROUPS]
    return [next(groups[number % len(groups)]) for number in range(count)]
