"""The decoder of the migration stream reads what a real QEMU sends of a machine that stands still.

Run as `SCRIPT all DECODER`."""

import contextlib
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from device_test import expect, main, status_at, until

from lab import LabUnavailable
from lab.qmp import Qmp

MEMORY_MIB = 32
PAGE_BYTES = 4096
WAIT_S = 60
FIRMWARE = Path("/usr/share/seabios/bios-256k.bin")


@contextlib.contextmanager
def machine(folder):
    """A guest that never ran, with its memory in a file that others can map."""
    program = shutil.which("qemu-system-x86_64")
    if not program:
        raise LabUnavailable("qemu-system-x86_64 is missing; tools/install-dependencies --lab "
                             "installs it")
    socket = folder / "qmp"
    memory = f"memory-backend-file,id=ram,size={MEMORY_MIB}M,mem-path={folder / 'ram'},share=on"
    with subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", program, "-accel", "tcg", "-machine",
             "pc,memory-backend=ram", "-m", str(MEMORY_MIB), "-object", memory, "-nodefaults",
             "-display", "none", "-S", "-qmp", f"unix:{socket},server=on,wait=off"]) as process:
        try:
            until(lambda: status_at(socket), "QEMU listens", WAIT_S)
            yield socket
        finally:
            process.kill()


def send(socket, path, ignores_shared):
    with Qmp(socket) as qmp:
        qmp.execute("migrate-set-capabilities", capabilities=[
            {"capability": "x-ignore-shared", "state": ignores_shared}])
        qmp.execute("migrate", uri=f"exec:cat > {path}")
        until(lambda: qmp.execute("query-migrate")["status"] == "completed", "QEMU has sent", WAIT_S)


def decode(path, folder):
    """Lines of the decoder, and what is in each block."""
    folder.mkdir()
    done = subprocess.run([sys.argv[2], path, folder], capture_output=True, text=True, check=False)
    expect(done.returncode == 0, "the stream is read to its end", done.stdout + done.stderr)
    print(done.stdout, end="", flush=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    blocks = [line for line in lines if line[0] == "block"]
    contents = {line[1]: (folder / str(index)).read_bytes() for index, line in enumerate(blocks)}
    return lines, {line[1]: int(line[4]) for line in blocks}, contents


def write_memory(path):
    """Every other page gets bytes of its own; what all of them hold then."""
    memory = b"".join(random.randbytes(PAGE_BYTES) if page % 2 else bytes(PAGE_BYTES)
                      for page in range(MEMORY_MIB * 2**20 // PAGE_BYTES))
    with open(path, "r+b") as file:
        file.write(memory)
    return memory


def check(folder, ignores_shared):
    name = "shared" if ignores_shared else "all"
    with machine(folder) as socket:
        memory = write_memory(folder / "ram")
        send(socket, folder / name, ignores_shared)
    lines, pages, contents = decode(folder / name, folder / f"{name}-blocks")
    expect(lines[0][0] == "machine" and lines[0][1].startswith("pc-i440fx-"), "the machine is named")
    expect(next(int(line[1]) for line in lines if line[0] == "devices") > 10000,
           "its devices' state has an end")
    expect(contents["pc.bios"] == FIRMWARE.read_bytes(), "the firmware is what its file holds")
    if ignores_shared:
        expect(["capability", "x-ignore-shared"] in lines, "the capability is named")
        expect(pages["ram"] == 0, "shared memory stays where it is", pages)
    else:
        expect(pages["ram"] == MEMORY_MIB * 2**20 // PAGE_BYTES, "every page of RAM came", pages)
        expect(contents["ram"] == memory, "and holds what the guest's memory does")


def story_all():
    for ignores_shared in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            check(Path(folder), ignores_shared)


main({"all": story_all})
