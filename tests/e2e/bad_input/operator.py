"""The operator's socket: one JSON object a line."""

import json
import socket

from e2e.bad_input import wires
from kill.layout import PAIR


def connect(ground, name):
    path = ground.layout.nodes[name].run_directory / "admin.sock"
    return wires.connect_unix(path, socket.SOCK_STREAM)


def read_line(connection):
    """One line, byte by byte of what follows it nothing is taken."""
    with connection.makefile("rb", buffering=0) as file:
        line = file.readline()
    if not line.endswith(b"\n"):
        raise wires.Closed(f"after {len(line)} bytes of a line")
    return line


def ask(ground, name, request):
    with connect(ground, name) as connection:
        connection.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(read_line(connection))


def pair_status(ground, name):
    answer = ask(ground, name, {"command": "status"})
    return next(pair for pair in answer["pairs"] if pair["pair"] == PAIR)
