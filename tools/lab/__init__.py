"""Virtual machines with soft-RoCE: see Lab and Machine; tools/softroce-lab is the command."""

from .errors import LabError, LabTimeout, LabUnavailable
from .lab import Lab
from .machine import Machine, Process, Result

__all__ = ["Lab", "LabError", "LabTimeout", "LabUnavailable", "Machine", "Process", "Result"]
