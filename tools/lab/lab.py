"""A lab: one or two machines with soft-RoCE up, on one kernel."""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from . import initramfs, kernel
from .errors import LabError, LabUnavailable
from .machine import BOOT_TIMEOUT_S, Machine
from .qemu import Settings
from .wire import make_wire

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAMS = ("qemu-system-x86_64", "busybox", "cpio", "depmod", "modprobe", "rdma", "setpriv")
KVM_TIMEOUT_S = 20
STATE_PREFIX = "tandem-lab-"


def to_stderr(text):
    print(f"lab: {text}", file=sys.stderr, flush=True)


def check_programs():
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if missing:
        raise LabUnavailable(f"missing: {' '.join(missing)}; tools/install-dependencies --lab "
                             "installs what the lab needs")
    os.environ["PATH"] = path


def remove_left_state():
    """Folders of labs whose process was killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{STATE_PREFIX}*-*"):
        owner = folder.name.removeprefix(STATE_PREFIX).split("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            shutil.rmtree(folder, ignore_errors=True)


class Lab:
    """A context manager: machines run from start() on and are gone after the block.

    with Lab(machine_count=2, forwards=[("a", 16379, 6379)]) as lab:
        lab.start()
        lab.machines["a"].run("ibv_devinfo")
    """

    def __init__(self, machine_count=1, kernel_version=None, accelerator="tcg", memory_mib=1024,
                 cpu_count=None, share=None, forwards=(), directory=CHECKOUT, refresh_kernel=False,
                 say=to_stderr):
        check_programs()
        self.say = say
        self.kernel = kernel.obtain(kernel_version, refresh_kernel, say)
        say(f"kernel {self.kernel.release}")
        self.initramfs = initramfs.build(self.kernel, kernel.cache_folder(), say)
        remove_left_state()
        self.state = Path(tempfile.mkdtemp(prefix=f"{STATE_PREFIX}{os.getpid()}-"))
        self.options = {
            "kernel": self.kernel, "initramfs": self.initramfs, "accelerator": accelerator,
            "memory_mib": memory_mib, "directory": Path(directory).resolve(),
            "cpu_count": cpu_count or {1: 2, 2: 1}[machine_count],
            "share": Path(share).resolve() if share else None,
        }
        self.wire = make_wire() if machine_count == 2 else (None,)
        self.machines = {name: self._machine(name, wire, forwards)
                         for name, wire in zip(("a", "b"), self.wire)}

    def _machine(self, name, wire, forwards):
        own = [(host, guest) for whose, host, guest in forwards if whose == name]
        return Machine(Settings(name=name, state=self.state / name, wire=wire, forwards=own,
                                **self.options))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for machine in self.machines.values():
            machine.kill()
        for end in filter(None, self.wire):
            end.close()
        shutil.rmtree(self.state, ignore_errors=True)

    def start(self, timeout_s=BOOT_TIMEOUT_S):
        """Boots all machines at the same time and waits until each can run commands."""
        deadline = time.monotonic() + timeout_s
        if self.options["accelerator"] == "auto":
            self._choose_accelerator()
        for machine in self.machines.values():
            machine.start()
        for machine in self.machines.values():
            self._wait_ready(machine, deadline)
            self.say(f"machine {machine.name}: up in {machine.boot_s:.1f} s, kernel "
                     f"{machine.facts['kernel']}, {machine.address}")

    def _wait_ready(self, machine, deadline):
        """A kernel that dies while it boots, before anything of ours runs, is the emulator's fault:
        it is told and booted anew."""
        try:
            machine.wait_ready(max(0, deadline - time.monotonic()))
        except LabError:
            if not machine.has_panicked():
                raise
            self.say(f"machine {machine.name}: its kernel panicked while it booted; once more"
                     + machine.console_tail())
            machine.kill()
            machine.start()
            machine.wait_ready(max(0, deadline - time.monotonic()))

    def power_off(self):
        for machine in self.machines.values():
            machine.power_off()

    def _choose_accelerator(self):
        """KVM can be present and still boot no stock kernel, so it is tried."""
        machine = next(iter(self.machines.values()))
        works = False
        if os.access("/dev/kvm", os.R_OK | os.W_OK):
            machine.settings.accelerator = "kvm"
            try:
                machine.start()
                machine.wait_ready(KVM_TIMEOUT_S)
                works = True
            except LabError:
                pass
            machine.kill()
        accelerator = "kvm" if works else "tcg"
        self.say(f"accelerator {accelerator}")
        for machine in self.machines.values():
            machine.settings.accelerator = accelerator
