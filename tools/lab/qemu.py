"""What a machine is made of: QEMU's command line and the settings that the guest reads."""

import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from .errors import LabUnavailable

TOOLS = Path(__file__).resolve().parent
# agent.py, which is run alone, has it too.
PORT_NAME = "tandem.lab"
# One processor until guest-init asks for the others: a kernel patches its own code while it boots,
# and QEMU before 8.1 can run the half-written instruction on another processor: int3, panic.
KERNEL_OPTIONS = "console=ttyS0 loglevel=4 panic=-1 oops=panic mitigations=off maxcpus=1"


@dataclass
class Settings:
    """`state` is the machine's own folder; `forwards` are pairs of host and guest port."""

    name: str
    kernel: object
    initramfs: Path
    state: Path
    directory: Path
    wire: object = None
    accelerator: str = "tcg"
    cpu_count: int = 2
    memory_mib: int = 1024
    share: Path = None
    forwards: list = field(default_factory=list)

    @property
    def number(self):
        return {"a": 1, "b": 2}[self.name]

    @property
    def address(self):
        return f"10.77.0.{self.number}"

    @property
    def rdma_mac(self):
        return f"52:54:00:77:00:{self.number:02}" if self.wire else ""

    @property
    def user_mac(self):
        return f"52:54:00:77:01:{self.number:02}"


def guest_settings(settings):
    """Shell variables for init and guest-init."""
    values = {
        "LAB_NAME": settings.name,
        "LAB_TOOLS": TOOLS,
        "LAB_DIRECTORY": settings.directory,
        "LAB_MODULES": settings.kernel.modules,
        "LAB_ADDRESS": settings.address,
        "LAB_RDMA_MAC": settings.rdma_mac,
        "LAB_USER_MAC": settings.user_mac,
        "LAB_SHARE": settings.share or "",
    }
    return "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in values.items())


def program():
    path = shutil.which("qemu-system-x86_64")
    if not path:
        raise LabUnavailable("qemu-system-x86_64 is missing; "
                             "tools/install-dependencies --lab installs it")
    return path


def escaped(path):
    """QEMU's option syntax doubles commas."""
    return str(path).replace(",", ",,")


def command_line(settings):
    is_tcg = settings.accelerator == "tcg"
    state = settings.state
    options = [
        "-name", f"lab-{settings.name}",
        "-accel", "tcg,thread=multi" if is_tcg else "kvm",
        "-cpu", "max" if is_tcg else "host",
        "-smp", str(settings.cpu_count), "-m", str(settings.memory_mib),
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
        "-kernel", str(settings.kernel.image), "-initrd", str(settings.initramfs),
        "-append", f"{KERNEL_OPTIONS} lab.settings={state / 'settings'}",
        "-serial", f"file:{escaped(state / 'console.log')}",
        "-qmp", f"unix:{escaped(state / 'qmp')},server=on,wait=off",
        *agent_options(state), *file_system_options("hostroot", "/", "host", ",readonly=on"),
        *user_network_options(settings),
    ]
    if settings.share:
        options += file_system_options("shared", settings.share, "share", "")
    if settings.wire:
        options += rdma_options(settings)
    return [program(), *options]


def agent_options(state):
    return ["-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,path={escaped(state / 'agent')},server=on,wait=off",
            "-device", f"virtserialport,chardev=agent,name={PORT_NAME}"]


def file_system_options(identity, path, tag, more):
    return ["-fsdev", f"local,id={identity},path={escaped(path)},security_model=none,"
                      f"multidevs=remap{more}",
            "-device", f"virtio-9p-pci,fsdev={identity},mount_tag={tag}"]


def user_network_options(settings):
    forwards = "".join(f",hostfwd=tcp:127.0.0.1:{host}-:{guest}"
                       for host, guest in settings.forwards)
    return ["-netdev", f"user,id=user{forwards}",
            "-device", f"virtio-net-pci,id=user-card,netdev=user,mac={settings.user_mac}"]


def rdma_options(settings):
    return ["-netdev", f"dgram,id=rdma,local.type=fd,local.str={settings.wire.fileno()}",
            "-device", f"virtio-net-pci,id=rdma-card,netdev=rdma,mac={settings.rdma_mac},"
                       "host_mtu=4500"]
