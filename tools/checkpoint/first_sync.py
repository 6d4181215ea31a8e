"""The first copy while the program goes on writing: through the time of one pass, which is the same
copy of a program that is quiet."""

from checkpoint.pause import measure_link
from checkpoint.run import Failure, Ratio

# Of the link's rate. The first pass is slower than that, for the standby has no memory yet; the
# later ones are not. Above it no number of passes ends.
SHARES = {"first_sync_ratio": 0.5, "first_sync_overload_ratio": 1.5}
PASSES = 3


def copy(setting, rate):
    words = ("--rate", int(rate)) if rate else ()
    return setting.bench("copy", "--size", setting.size, "--live", setting.size, *words)


def measure(setting):
    ratios = {name: Ratio(name, f"first copy, written at {share:.0%} of the link's rate / quiet",
                          PASSES) for name, share in SHARES.items()}
    for number in range(setting.rounds):
        link = measure_link(setting)
        alone = copy(setting, 0)
        told = []
        for name, share in SHARES.items():
            busy = copy(setting, share * link)
            if share > 1 and not busy["held_seconds"] and not setting.is_quick:
                raise Failure(f"{name}: the program was not held, and nobody was told")
            ratios[name].add(busy["copy_seconds"], alone["copy_seconds"])
            told.append(f"{share:.0%} {busy['copy_seconds']:.2f} s, held for "
                        f"{busy['held_seconds']:.2f} s, "
                        f"{busy['written_bytes'] / 2**20:.0f} MiB written")
        setting.say(f"first copy, link {link / 2**20:.0f} MiB/s, round {number + 1} of "
                    f"{setting.rounds}: {alone['copy_seconds']:.2f} s alone, {'; '.join(told)}")
    return list(ratios.values())
