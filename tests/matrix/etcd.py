"""A real etcd, and a relay before it that is slow, deaf or loses answers."""

import random
import select
import socket
import subprocess
import threading
import time

from kill import wait
from kill.layout import free_ports, release_ports

_START_SECONDS = 20
_CHUNK = 1 << 16


class Etcd:
    """One member; its data survives its end."""

    def __init__(self, directory, log):
        self._directory = directory
        self._log = log
        self._process = None
        self.port = free_ports()
        self._peer_port = self.port + 1

    def start(self):
        here, peers = (f"http://127.0.0.1:{port}" for port in (self.port, self._peer_port))
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "etcd", "--name", "one", "--data-dir",
                 str(self._directory), "--listen-client-urls", here, "--advertise-client-urls",
                 here, "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
                 "--initial-cluster", f"one={peers}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait.until(self._answers, _START_SECONDS, "etcd to answer", 0.05)

    def _answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
                return b'"true"' in _read_all(connection)
        except OSError:
            return False

    def signal(self, number):
        self._process.send_signal(number)

    def kill(self):
        if self._process:
            self._process.kill()
            self._process.wait()

    def close(self):
        self.kill()
        release_ports(self.port)


class Relay(threading.Thread):
    """mode: pass; slow (answers come a second late); deaf (nothing comes back); lost (what asks for
    a change is done, but its answer is not told); lossy (every other connection breaks)."""

    def __init__(self, addresses, target_port, seed):
        super().__init__(daemon=True)
        self.mode = "pass"
        self.lost_count = 0  # answers that were not told
        self._target_port = target_port
        self._random = random.Random(seed)
        self._is_over = False
        self._listeners = [socket.create_server(address) for address in addresses]

    def run(self):
        while not self._is_over:
            for listener in select.select(self._listeners, [], [], 0.1)[0]:
                threading.Thread(target=self._serve, args=(listener.accept()[0],),
                                 daemon=True).start()
        for listener in self._listeners:
            listener.close()

    def end(self):
        self._is_over = True
        self.join()

    def _serve(self, client):
        try:
            with client, socket.create_connection(("127.0.0.1", self._target_port), 1) as server:
                self._relay(client, server)
        except OSError:
            pass

    def _relay(self, client, server):
        asked = b""
        while not self._is_over:
            for ready in select.select([client, server], [], [], 0.1)[0]:
                data = ready.recv(_CHUNK)
                if not data:
                    return
                if ready is client:
                    asked = data
                    if self.mode == "lossy" and self._random.random() < 0.5:
                        return
                    server.sendall(data)
                elif not self._tell(client, data, asked):
                    return

    def _tell(self, client, data, asked):
        if self.mode == "slow":
            time.sleep(1)
        if self.mode == "deaf" or (self.mode == "lost" and b"/kv/txn" in asked):
            self.lost_count += 1
            return False
        client.sendall(data)
        return True


def _read_all(connection):
    data = b""
    while chunk := connection.recv(_CHUNK):
        data += chunk
    return data
