"""Inside a machine: runs commands for the host, which talks to it over a virtio-serial port.

One JSON object a line. From the host: {"run": id, "command", "env", "directory"},
{"signal": id, "number"} and {"stop": true}. To the host: {"ready": facts}, {"output": id, "data"},
{"exit": id, "status"}. Bytes travel as latin-1, which keeps each of them.
"""

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import termios
import threading
from pathlib import Path

PORT_NAME = "tandem.lab"
PIPE_BYTES = 65536


def find_port():
    for entry in Path("/sys/class/virtio-ports").iterdir():
        if (entry / "name").read_text(encoding="ascii").strip() == PORT_NAME:
            return Path("/dev") / entry.name
    raise SystemExit(f"no virtio port {PORT_NAME}")


class Agent:
    def __init__(self, port):
        self.port = port
        self.port_lock = threading.Lock()
        self.processes = {}
        self.processes_lock = threading.Lock()

    def tell(self, **message):
        line = json.dumps(message).encode() + b"\n"
        with self.port_lock:
            while line:
                line = line[os.write(self.port, line):]

    def run(self, number, command, env, directory):
        try:
            process = subprocess.Popen(
                ["/bin/bash", "-c", command], cwd=directory, env={**os.environ, **env},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                start_new_session=True)
        except OSError as error:
            self.tell(output=number, data=f"lab: cannot start: {error}\n")
            self.tell(exit=number, status=127)
            return
        with self.processes_lock:
            self.processes[number] = process
        threading.Thread(target=self.follow, args=(number, process), daemon=True).start()

    def follow(self, number, process):
        """Output ends with the command, not with a background process that still holds the pipe: that
        one's is read and thrown away."""
        pipe = process.stdout.fileno()
        self.copy_output(number, process, pipe)
        status = process.wait()
        with self.processes_lock:
            del self.processes[number]
        self.tell(exit=number, status=status if status >= 0 else 128 - status)
        while os.read(pipe, PIPE_BYTES):
            pass

    def copy_output(self, number, process, pipe):
        """Until the command has ended, and all that it had written."""
        end = os.pidfd_open(process.pid)
        watched = [pipe, end]
        while end not in select.select(watched, [], [])[0]:
            if not self.copy_some(number, pipe):
                watched.remove(pipe)
        os.close(end)
        left = bytearray(4)
        fcntl.ioctl(pipe, termios.FIONREAD, left)
        left = int.from_bytes(left, sys.byteorder)
        while left > 0 and (length := self.copy_some(number, pipe)):
            left -= length

    def copy_some(self, number, pipe):
        """Its length; 0 at the end."""
        data = os.read(pipe, PIPE_BYTES)
        if data:
            self.tell(output=number, data=data.decode("latin-1"))
        return len(data)

    def send_signal(self, number, which):
        with self.processes_lock:
            process = self.processes.get(number)
            if process:
                os.killpg(process.pid, which)

    def serve(self, lines):
        for line in lines:
            message = json.loads(line)
            if "run" in message:
                self.run(message["run"], message["command"], message["env"], message["directory"])
            elif "signal" in message:
                self.send_signal(message["signal"], message["number"])
            elif "stop" in message:
                return


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    port = os.open(find_port(), os.O_RDWR)
    agent = Agent(port)
    agent.tell(ready={"kernel": os.uname().release})
    with os.fdopen(os.dup(port), "rb") as lines:
        agent.serve(lines)


main()
