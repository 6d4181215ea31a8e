"""What a pair keeps in memory beside the region, its cache and its image: PSS, and files in memory.
Every other page is written, which makes the longest lists."""

from checkpoint.run import Ratio

CAPTURES = ("stop", "stage")
EPOCHS = 4
TARGET = 0.01


def measure(setting):
    ratios = []
    for capture in CAPTURES:
        primary = Ratio("memory_primary_ratio", f"primary, capture {capture}: memory beyond region "
                        "and staging / region", TARGET)
        secondary = Ratio("memory_secondary_ratio", f"secondary, capture {capture}: memory beyond "
                          "cache and image / region", TARGET)
        for _ in range(setting.rounds):
            report = setting.bench("checkpoint", "--size", setting.size, "--dirty", "50%",
                                   "--capture", capture, "--epochs", EPOCHS)
            size = report["size_bytes"]
            staging = min(size, report["staging_bytes"])
            primary.add(max(1, report["program_memory_bytes"] - staging), size)
            secondary.add(max(1, report["standby_memory_bytes"] - 2 * size), size)
            setting.say(f"memory, capture {capture}: primary {primary.rounds[-1][0] / 2**20:.1f} "
                        f"MiB, secondary {secondary.rounds[-1][0] / 2**20:.1f} MiB")
        ratios += [primary, secondary]
    return ratios
