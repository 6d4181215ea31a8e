"""The table of multifd COLO's measurement: {idle, load} x {1, 4 channels}, the memory part of each
checkpoint, one in 600 ms."""

from checkpoint.run import Cell, Ratio

CHANNELS = (1, 4)
# Some pages of clocks and timers; a file that arrives in a cache of buffers.
LOADS = {"idle": ("--pattern", "random", "--rate", "128K"),
         "load": ("--pattern", "upload", "--rate", "64M")}
INTERVAL_MS = 600
QUICK_INTERVAL_MS = 50
PUSH_WORDS = ("--push-interval", "20000")


def measure_cell(setting, load, channels, extra=()):
    """The row of one run."""
    interval_ms = QUICK_INTERVAL_MS if setting.is_quick else INTERVAL_MS
    return setting.bench("checkpoint", "--size", setting.size, *LOADS[load], "--interval",
                         interval_ms, "--channels", channels, "--epochs", setting.epochs,
                         *extra)["rows"][0]


def measure_table(setting):
    """{load: {channels: Cell}}, round by round, the cells in turn."""
    cells = {load: {channels: Cell() for channels in CHANNELS} for load in LOADS}
    for number in range(setting.rounds):
        told = []
        for load in LOADS:
            for channels in CHANNELS:
                row = measure_cell(setting, load, channels)
                cells[load][channels].samples_us += row["memory_samples_us"]
                told.append(f"{load} {channels} {row['memory_us']['mean'] / 1e3:.2f}"
                            f"/{row['memory_us']['p99'] / 1e3:.2f} ms")
        setting.say(f"table, round {number + 1} of {setting.rounds}: {', '.join(told)}")
    return cells


def measure_background(setting):
    """The pause under load with and without the push beside the running program."""
    ratio = Ratio("background_push_p99_ratio", "p99 of the pause under load, with / without the "
                  "push beside the running program", 1 / 3)
    for number in range(setting.rounds):
        without = measure_cell(setting, "load", 4)["pause_us"]["p99"]
        with_push = measure_cell(setting, "load", 4, PUSH_WORDS)["pause_us"]["p99"]
        ratio.add(with_push, without)
        setting.say(f"background push, round {number + 1} of {setting.rounds}: "
                    f"{with_push / 1e3:.2f} / {without / 1e3:.2f} ms")
    return [ratio]


def lines(cells):
    yield f"{'memory part, ms':<18}" + "".join(f"{f'{count} channels':>22}" for count in CHANNELS)
    for load, row in cells.items():
        figures = [row[channels].report() for channels in CHANNELS]
        yield f"{load:<18}" + "".join(
            f"{figure['mean_ms']:>10.2f} / {figure['p99_ms']:<9.2f}" for figure in figures
        ) + " mean / p99"


def report(cells):
    return {load: {str(channels): cell.report() for channels, cell in row.items()}
            for load, row in cells.items()}
