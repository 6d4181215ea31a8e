"""What can go wrong in the lab. Every message names the cause and, where there is one, the fix."""


class LabError(Exception):
    """The lab, or a machine of it, failed."""


class LabUnavailable(LabError):
    """This computer cannot have a lab: a package or a kernel is missing."""


class LabTimeout(LabError):
    """A deadline passed; `output` is what the command had printed until then."""

    def __init__(self, message, output=b""):
        super().__init__(message)
        self.output = output
