"""Virtual machines that check their own memory, in any QEMU: see bed.py and README.md."""

from .bed import Bed, Console, Places, Vm, VmError, command_line, programs

__all__ = ["Bed", "Console", "Places", "Vm", "VmError", "command_line", "programs"]
