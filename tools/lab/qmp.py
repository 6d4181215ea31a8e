"""QEMU's own control socket."""

import json
import socket

from .errors import LabError


class Qmp:
    """One conversation; every answer has a deadline, because a stopped QEMU does not answer."""

    def __init__(self, path, timeout_s=5):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout_s)
        try:
            self.socket.connect(str(path))
            self.lines = self.socket.makefile("rb")
            self.lines.readline()
            self.execute("qmp_capabilities")
        except OSError as error:
            self.close()
            raise LabError(f"QEMU does not answer on its control socket: {error}") from error

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def execute(self, command, **arguments):
        request = json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
        try:
            self.socket.sendall(request)
            while line := self.lines.readline():
                answer = json.loads(line)
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    raise LabError(f"QEMU refused {command}: {answer['error']['desc']}")
        except OSError as error:
            raise LabError(f"QEMU does not answer {command}: {error}; "
                           "is the machine stopped?") from error
        raise LabError(f"QEMU ended before it answered {command}")
