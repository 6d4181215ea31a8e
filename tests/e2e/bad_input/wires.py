"""Sockets of a stranger: every wait has a deadline."""

import socket
import time

WAIT_SECONDS = 30.0


class Door(tuple):
    """Address and port of a tandemd, and the key that its pair's peer holds."""

    def __new__(cls, node, key):
        door = super().__new__(cls, (node.address, node.port))
        door.key = key
        return door


class Closed(Exception):
    """The other side ended the connection."""


def connect(address, seconds=WAIT_SECONDS):
    connection = socket.create_connection(address, seconds)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def connect_unix(path, kind=socket.SOCK_SEQPACKET):
    connection = socket.socket(socket.AF_UNIX, kind)
    connection.settimeout(WAIT_SECONDS)
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            connection.connect(str(path))
            return connection
        except BlockingIOError:  # more wait to be accepted than the socket lets wait
            if time.monotonic() > deadline:
                raise
            time.sleep(0.002)


def send(connection, data):
    """False when the other side has ended it already."""
    try:
        connection.sendall(data)
        return True
    except (BrokenPipeError, ConnectionResetError):
        return False


def read_exactly(connection, length):
    data = bytearray()
    while len(data) < length:
        try:
            part = connection.recv(length - len(data))
        except ConnectionResetError:
            part = b""
        if not part:
            raise Closed(f"after {len(data)} of {length} bytes")
        data += part
    return bytes(data)


def read_until_closed(connection, seconds=WAIT_SECONDS):
    """What comes until the other side ends the connection; TimeoutError when it does not."""
    deadline = time.monotonic() + seconds
    data = bytearray()
    while True:
        connection.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            part = connection.recv(1 << 16)
        except (ConnectionResetError, BrokenPipeError):
            return bytes(data)
        if not part:
            return bytes(data)
        data += part
        if time.monotonic() > deadline:
            raise TimeoutError("the connection was not ended")
