"""The guest that checks its own memory, in the computer's QEMU and in the fetched one: what its
tests rest on is true. Run as `SCRIPT all BUILD`."""

import json
import mmap
import os
import socket
import sys
import threading
from pathlib import Path

from device_test import CHECKOUT, expect, main, until

sys.path.insert(0, str(CHECKOUT / "tests"))

from guest import Bed  # noqa: E402 (the path above comes first)
from kill.layout import free_ports  # noqa: E402
from lab import private_qemu  # noqa: E402

MEMORY_MIB, HOT_MIB = 16, 8
PAGES = MEMORY_MIB * 256
COLD_PAGE = PAGES - 1
SETTINGS = {"memory_mib": MEMORY_MIB, "hot_mib": HOT_MIB, "rate": 2000, "random": 1}


def start(bed, version, port):
    """With a network whose frames are on record."""
    return bed.start(
        f"qemu-{version}", bed.programs[version], memory=f"ram-{version}", address="10.0.2.15/24",
        netdev=f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:7777,hostfwd=udp:127.0.0.1:{port}-:7777",
        options=("-object", f"filter-dump,id=dump,netdev=net,file={bed.folder}/frames-{version}"),
        **SETTINGS)


def check_ticks(vm):
    first = vm.wait_tick()
    expect(first["wrong_count"] == 0, f"{vm.name}: boots and ticks", first)
    last = first
    for _ in range(3):
        last = vm.wait_tick()
    expect(last["tick"] > first["tick"] and last["step"] > first["step"]
           and last["monotonic_ns"] > first["monotonic_ns"] and last["boot"] == first["boot"],
           f"{vm.name}: goes on", (first, last))
    answer = vm.ask("verify")
    expect(answer["verified"] == PAGES and answer["wrong_count"] == 0,
           f"{vm.name}: every page is right", answer)


def check_image(bed, vm, wrong_count=0):
    """The observer finds in the file what the guest, which is stopped for it, has in its memory."""
    vm.qmp.execute("stop")
    found = bed.read_memory(vm.memory)
    vm.qmp.execute("cont")
    expect(found["pages"] == PAGES and found["step"] > 0 and found["wrong_count"] == wrong_count,
           f"{vm.name}: the observer finds {wrong_count} wrong pages", found)
    return found


def flip_bit(bed, vm, page):
    offset = bed.read_memory(vm.memory, "--offset", page)["offset"]
    with open(vm.memory, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[offset + 1000] ^= 4


def check_fault(bed, vm):
    """A changed bit is seen by both, and only that one."""
    after = len(vm.lines)
    flip_bit(bed, vm, COLD_PAGE)
    fault = vm.wait_line("wrong", after=after)
    expect(fault["wrong"] == COLD_PAGE and fault["word"] == 125
           and int(fault["expected"], 16) ^ int(fault["found"], 16) == 4,
           f"{vm.name}: the guest sees a changed bit", fault)
    expect(check_image(bed, vm, 1)["wrong_first"] == COLD_PAGE, f"{vm.name}: and which it is")
    flip_bit(bed, vm, COLD_PAGE)
    expect(vm.ask("verify")["wrong_count"] == 0, f"{vm.name}: changed back, all is right")


def check_network(bed, vm, version, port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
        stream.sendall(b"echo over tcp\n")
        expect(json.loads(stream.makefile().readline()) == {"echo": "over tcp"},
               f"{vm.name}: answers over TCP")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(10)
        datagrams.sendto(b"echo over udp", ("127.0.0.1", port))
        expect(json.loads(datagrams.recv(1000)) == {"echo": "over udp"},
               f"{vm.name}: answers over UDP")
    frames = Path(bed.folder / f"frames-{version}")
    until(lambda: b'{"tick": ' in frames.read_bytes(), f"{vm.name}: its ticks are on the network, too")


def check_reboot(bed, vm):
    boot = vm.ask("state")["boot"]
    after = len(vm.lines)
    vm.tell("reboot")
    until(lambda: any(line.get("boot", boot) != boot for line in vm.lines[after:]),
          f"{vm.name}: reboots", 60)
    boot = vm.wait_tick()["boot"]
    vm.qmp.execute("stop")
    found = bed.read_memory(vm.memory, "--boot", boot)
    expect(found["boot"] == boot and found["wrong_count"] == 0, f"{vm.name}: and is right", found)


def play(bed, version, port, failures):
    try:
        vm = start(bed, version, port)
        check_ticks(vm)
        check_network(bed, vm, version, port)
        check_image(bed, vm)
        check_fault(bed, vm)
        if version == private_qemu.VERSION:  # a boot takes a while; one of them will do
            check_reboot(bed, vm)
        vm.kill()
        expect(not os.path.exists(f"/proc/{vm.pid}"), f"{vm.name}: is gone when it is killed")
    except BaseException as error:  # of a thread, told by the main one
        failures.append(f"QEMU {version}: {error!r}")


def story_all():
    failures = []
    with Bed(sys.argv[2]) as bed:
        players = [threading.Thread(target=play, args=(bed, version, free_ports(), failures))
                   for version in bed.programs]
        for player in players:
            player.start()
        for player in players:
            player.join()
    expect(not failures, "both QEMUs are what tests of protected guests need", "\n".join(failures))


main({"all": story_all})
