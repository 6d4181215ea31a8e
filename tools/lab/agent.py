"""Inside a machine: runs commands for the host, which talks to it over a virtio-serial port.

One JSON object a line. From the host: {"run": id, "command", "env", "directory"},
{"signal": id, "number"} and {"stop": true}. To the host: {"ready": facts}, {"output": id, "data"},
{"exit": id, "status"}. Bytes travel as latin-1, which keeps each of them.
"""

import json
import os
import signal
import subprocess
import threading
from pathlib import Path

PORT_NAME = "tandem.lab"


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
        """Output ends with the command, not with a background process that still holds the pipe."""
        arguments = (number, process.stdout)
        copier = threading.Thread(target=self.copy_output, args=arguments, daemon=True)
        copier.start()
        status = process.wait()
        copier.join(timeout=1)
        with self.processes_lock:
            del self.processes[number]
        self.tell(exit=number, status=status if status >= 0 else 128 - status)

    def copy_output(self, number, pipe):
        while data := os.read(pipe.fileno(), 65536):
            self.tell(output=number, data=data.decode("latin-1"))

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
