"""What protection costs tandem-kv: writes a second by redis-benchmark, with and without."""

import csv
import io

from checkpoint.run import Failure, Ratio, run
from e2e.kv_server import Server
from kill.layout import KeyValue, on_loopback
from kill.pair import Pair

MAP_MIB = 256
LARGE_MAP_MIB = 2048
PIPELINED = ("-P", "16", "-n", "600000")
UNPIPELINED = ("-P", "1", "-n", "600000")
QUICK = ("-n", "4000")
OPTIONS = {"channels": "4", "heartbeat_profile": '"vm"'}


class MappedKeyValue(KeyValue):
    def __init__(self, map_mib):
        self.map_mib = map_mib

    def arguments(self, node):
        return [*super().arguments(node), "--map-size", str(self.map_mib)]


def writes_per_second(port, words):
    text = run(["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-t", "set", "-r", "1000000",
                "-d", "64", "-c", "50", "--csv", *words])
    for row in csv.reader(io.StringIO(text)):
        if row and row[0] == "SET":
            return float(row[1])
    raise Failure(f"redis-benchmark gave no figure:\n{text}")


def unprotected(setting, map_mib, words):
    with Server(setting.program("tandem-kv"), "--map-size", str(map_mib)) as server:
        return writes_per_second(server.port, words)


def protected(setting, map_mib, words):
    layout = on_loopback(program=MappedKeyValue(map_mib), pair_options=dict(OPTIONS))
    try:
        with Pair(layout, setting.build / "bin") as pair:
            pair.start()
            pair.wait_pair(60)
            return writes_per_second(layout.nodes["a"].serve_port, words)
    finally:
        layout.remove()


def measure(setting):
    ratios = {
        "kv_throughput_ratio": (PIPELINED, MAP_MIB, Ratio(
            "kv_throughput_ratio", "tandem-kv, -P 16, protected / unprotected", 0.30, True)),
        "kv_unpipelined_ratio": (UNPIPELINED, MAP_MIB, Ratio(
            "kv_unpipelined_ratio", "tandem-kv, -P 1, protected / unprotected", 0.70, True)),
    }
    for number in range(setting.rounds):
        for words, map_mib, ratio in ratios.values():
            words = (*words[:2], *QUICK) if setting.is_quick else words
            bare = unprotected(setting, map_mib, words)
            ours = protected(setting, map_mib, words)
            ratio.add(ours, bare)
            setting.say(f"{ratio.name}, round {number + 1} of {setting.rounds}: {ours:.0f} / "
                        f"{bare:.0f} writes/s")
    return [ratio for _, _, ratio in ratios.values()]


def measure_large_map(setting):
    """A map of 2 GiB beside one of 256 MiB, both protected."""
    ratio = Ratio("kv_large_map_ratio", "tandem-kv, -P 16, map of 2 GiB / 256 MiB", 0.90, True)
    words = (*PIPELINED[:2], *QUICK) if setting.is_quick else PIPELINED
    for number in range(setting.rounds):
        small = protected(setting, MAP_MIB, words)
        large = protected(setting, 2 * MAP_MIB if setting.is_quick else LARGE_MAP_MIB, words)
        ratio.add(large, small)
        setting.say(f"{ratio.name}, round {number + 1} of {setting.rounds}: {large:.0f} / "
                    f"{small:.0f} writes/s")
    return [ratio]
