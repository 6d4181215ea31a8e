"""Which rounds make up a run."""

import random

from kill.round import Plan
from kill.stats_file import PHASES

FORCED_EACH = 3  # a run of many rounds ends the primary at least so often in every phase
IMAGE_ONE_IN = 4
CUT_ONE_IN = 3  # of those that are left to chance
READS_ONE_IN = 4
BENCHMARK_ONE_IN = 3


def plans(kills_count, stops_count, phase, seed, provider, keep, can_cut=False):
    """phase "auto": a part of the rounds is forced into each phase; "random": none is; else all
    are forced into that one. can_cut: some of those left to chance end with their link cut."""
    chooser = random.Random(seed)
    kinds = ["kill"] * kills_count + ["stop"] * stops_count
    made = []
    for number, (kind, forced) in enumerate(zip(kinds, _forced(kinds, phase)), 1):
        made.append(
            Plan(
                number=number,
                seed=chooser.getrandbits(32),
                kind=kind,
                forced_phase=forced,
                provider=provider,
                with_cut=can_cut and not forced and number % CUT_ONE_IN == 0,
                with_reads_only=kind == "stop" and number % READS_ONE_IN == 0,
                with_benchmark=number % BENCHMARK_ONE_IN == 0,
                with_image=number % IMAGE_ONE_IN == 1,
                keep=keep,
            )
        )
    return made


def each_phase_min(kills_count, phase):
    """How often a run of so many kill rounds has to end the primary in every phase."""
    return _forced_each(kills_count) if phase == "auto" else 0


def _forced_each(count):
    return min(FORCED_EACH, count // (2 * len(PHASES)))


def _forced(kinds, phase):
    if phase == "random":
        return [""] * len(kinds)
    if phase != "auto":
        return [phase] * len(kinds)
    forced = []
    for kind in ("kill", "stop"):
        count = kinds.count(kind)
        each = _forced_each(count)
        few = count // 2 if each == 0 else each * len(PHASES)
        forced += [PHASES[index % len(PHASES)] for index in range(few)]
        forced += [""] * (count - few)
    return forced
