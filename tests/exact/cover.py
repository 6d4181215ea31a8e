"""Combinations of settings in which every pair of values of two settings is met."""

import itertools

# {setting: {value: keys of the pair in the configuration file}}, the default first.
FACTORS = {
    "tracker": ("pagemap", "compare", "mark"),
    "channels": ("4", "1"),
    "provider": ("tcp",),
    "capture": ("stop", "stage"),
    "push_interval_us": ("0", "500"),
}
DEFAULT = {factor: values[0] for factor, values in FACTORS.items()}


def _pairs_of(combination):
    return set(itertools.combinations(sorted(combination.items()), 2))


def pairwise(factors=None):
    """Few combinations, found greedily: the default first, then what adds most."""
    factors = factors or FACTORS
    every = [dict(zip(factors, values)) for values in itertools.product(*factors.values())]
    left = set().union(*map(_pairs_of, every))
    chosen = []
    while left:
        best = max(every, key=lambda each: len(_pairs_of(each) & left)) if chosen else every[0]
        chosen.append(best)
        left -= _pairs_of(best)
    return chosen


def over_rdma():
    """As few as there are, with each value of each other setting in one of them."""
    factors = {**FACTORS, "provider": ("rdma",)}
    return [{factor: values[number % len(values)] for factor, values in factors.items()}
            for number in range(max(map(len, factors.values())))]


def text(combination):
    return ", ".join(f"{value} {factor}" if value.isdigit() else value
                     for factor, value in combination.items())
