"""Virtual machines that check their own memory, in any QEMU: see bed.py and README.md."""

from .bed import Bed, Vm, VmError, programs

__all__ = ["Bed", "Vm", "VmError", "programs"]
