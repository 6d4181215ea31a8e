"""The pause and its parts against the bare calls of the same run, and the one-page commit."""

from checkpoint.run import NotThere, Ratio

SCAN_SIZE = "1G"
SCAN_DIRTY = ("1%", "10%", "100%")
PAUSE_DIRTY = ("1%", "10%")
QUICK_SIZE = "16M"


def need_bare(setting):
    """The pairs are of PAGEMAP_SCAN."""
    report = setting.bench("checkpoint", "--size", QUICK_SIZE, "--dirty", "4K", "--epochs", 1)
    if report["tracker"] != "pagemap":
        raise NotThere(f"the tracker here is {report['tracker']}; PAGEMAP_SCAN needs Linux 6.7")


def measure_rows(setting, ratio_key, make, size, dirty, extra=()):
    """A Ratio for each dirty size; the runs hold the pairs."""
    ratios = [make(text) for text in dirty]
    need_bare(setting)
    for number in range(setting.rounds):
        rows = setting.bench("checkpoint", "--size", size, "--dirty", ",".join(dirty), "--bare",
                             "--epochs", setting.epochs, *extra)["rows"]
        for ratio, row in zip(ratios, rows):
            ours_us = row["scan_us" if ratio_key == "scan_ratio" else "pause_us"]["p50"]
            ratio.add(ours_us, ours_us / row[ratio_key]["p50"], row[ratio_key]["p50"])
        told = ", ".join(f"{text} {ratio.rounds[-1][2]:.2f}" for text, ratio in zip(dirty, ratios))
        setting.say(f"{ratios[0].name}, round {number + 1} of {setting.rounds}: {told}")
    return ratios


def measure_scan(setting):
    size = QUICK_SIZE if setting.is_quick else SCAN_SIZE
    return measure_rows(
        setting, "scan_ratio", lambda text: Ratio(
            "scan_ratio", f"scan of {size}, {text} dirty / PAGEMAP_SCAN alone", 1.15),
        size, SCAN_DIRTY)


def measure_stop(setting):
    return measure_rows(
        setting, "send_ratio", lambda text: Ratio(
            "stop_tcp_ratio", f"pause of stop, {text} of {setting.size} / (scan + plain send)", 1.3),
        setting.size, PAUSE_DIRTY)


def measure_stage(setting):
    return measure_rows(
        setting, "copy_ratio", lambda text: Ratio(
            "stage_pause_ratio", f"pause of stage, {text} of {setting.size} / (scan + one copy)",
            1.3),
        setting.size, PAUSE_DIRTY, ("--capture", "stage"))


def measure_commit(setting):
    """One page that was marked, until its epoch is committed; and the transport's commit of one.

    Both have as much memory and each page once, so that no processor's cache holds it.
    """
    ratio = Ratio("mark_commit_ratio", "checkpoint of one marked page / the transport's "
                  "one-page commit", 1.3)
    size = QUICK_SIZE if setting.is_quick else SCAN_SIZE
    count = 20 if setting.is_quick else 1000
    for number in range(setting.rounds):
        ours = setting.bench("checkpoint", "--size", size, "--tracker", "mark", "--dirty", "4K",
                             "--epochs", count)["rows"][0]["total_us"]["p50"]
        bare = setting.bench("transport", "--channels", 4, "--bytes", size, "--epochs", 1,
                             "--commits", count)["commit_us"]["p50"]
        ratio.add(ours, bare)
        setting.say(f"mark_commit_ratio, round {number + 1} of {setting.rounds}: "
                    f"{ours:.1f} / {bare:.1f} us")
    return [ratio]


# -- the budget -------------------------------------------------------------------------------

BUDGET_SCANS = 3
LINK_SHARES = (0.25, 0.50, 0.80)
BUDGET_INTERVAL_MS = 100
BUDGET_PUSH = ("--push-interval", "2000", "--on-overload", "slow")


def measure_link(setting):
    """Bytes a second of the bare transport, random pages."""
    size = "4M" if setting.is_quick else "256M"
    return setting.bench("transport", "--channels", 4, "--pattern", "random", "--bytes", size,
                         "--region-bytes", size, "--epochs", 4)["bytes_per_second"]


def measure_idle_scan(setting):
    rows = setting.bench("checkpoint", "--size", setting.size, "--dirty", "0%", "--epochs",
                         max(20, setting.epochs))["rows"]
    return rows[0]["scan_us"]["p50"]


def measure_budget(setting):
    """p99 of the pause through the budget, the program writing at a share of the link's rate."""
    ratios = [Ratio("budget_pause_ratio", f"p99 of the pause / budget, written at {share:.0%} of "
                    "the link's rate", 1.2) for share in LINK_SHARES]
    for number in range(setting.rounds):
        budget_us = max(1, round(BUDGET_SCANS * measure_idle_scan(setting)))
        link = measure_link(setting)
        told = []
        for share, ratio in zip(LINK_SHARES, ratios):
            row = setting.bench("checkpoint", "--size", setting.size, "--capture", "stage",
                                "--bare", "--budget", budget_us, *BUDGET_PUSH, "--rate",
                                int(link * share),
                                "--interval", BUDGET_INTERVAL_MS, "--epochs",
                                setting.epochs)["rows"][0]
            ratio.add(row["pause_us"]["p99"], budget_us)
            told.append(f"{share:.0%} {row['pause_us']['p99']:.0f} us (the bare calls "
                        f"{row['bare_pause_us']['p99']:.0f} us; "
                        f"{row['written_bytes'] / row['seconds'] / 2**20:.0f} MiB/s written)")
        setting.say(f"budget {budget_us} us, link {link / 2**20:.0f} MiB/s, round {number + 1} of "
                    f"{setting.rounds}: {', '.join(told)}")
    return ratios
