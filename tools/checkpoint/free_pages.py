"""The free-page table: the first copy of a memory of which little is live, when it is known what is
free and when it is not."""

from statistics import median

from checkpoint.run import Ratio

HISTORIES = ("boot", "ended")


def measure_table(setting):
    """{history: {known or unknown: [reports]}}, in turn within a round."""
    found = {history: {"unknown": [], "known": []} for history in HISTORIES}
    for number in range(setting.rounds):
        told = []
        for history in HISTORIES:
            for name, words in (("unknown", ()), ("known", ("--free",))):
                report = setting.bench("copy", "--size", setting.size, "--history", history, *words)
                found[history][name].append(report)
                told.append(f"{history} {name} {report['seconds'] * 1e3:.0f} ms "
                            f"{report['channel_bytes'] / 2**20:.1f} MiB")
        setting.say(f"free pages, round {number + 1} of {setting.rounds}: {', '.join(told)}")
    return found


def ratios(found):
    ended = found["ended"]
    size = Ratio("free_page_bytes_ratio", "ended workload, free pages known: bytes / live bytes",
                 1.02)
    time = Ratio("free_page_time_ratio", "ended workload: time with / without knowledge", 0.10)
    copy = Ratio("free_page_copy_ratio", "the same since the standby has its memory", 0.10)
    for known, unknown in zip(ended["known"], ended["unknown"]):
        copy.add(known["copy_seconds"], unknown["copy_seconds"])
        size.add(known["channel_bytes"], known["live_bytes"])
        time.add(known["seconds"], unknown["seconds"])
    return [size, time, copy]


def report(found):
    return {history: {name: {"ms": median(run["seconds"] for run in runs) * 1e3,
                             "copy_ms": median(run["copy_seconds"] for run in runs) * 1e3,
                             "bytes": median(run["channel_bytes"] for run in runs),
                             "live_bytes": runs[0]["live_bytes"],
                             "freeing_ms": median(run["freeing_seconds"] for run in runs) * 1e3}
                      for name, runs in row.items()}
            for history, row in found.items()}


def lines(found):
    yield f"{'first copy':<18}{'not known':>36}{'known':>36}"
    for history, row in report(found).items():
        yield f"{history:<18}" + "".join(
            f"{cell['ms']:>9.0f} ms (copy {cell['copy_ms']:>6.0f}){cell['bytes'] / 2**20:>8.1f} MiB"
            for cell in row.values())
