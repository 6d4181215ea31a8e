"""The network outside a guest's gate, as a datagram socket: records what it sees, and can ask the guest."""

import json
import os
import socket
import struct
import threading
import time

GUEST_ADDRESS = "10.0.2.15"
GUEST_CARD = bytes.fromhex("525400780001")
ADDRESS = "10.0.2.2"
CARD = bytes.fromhex("525400780002")
GUEST_PORT = 7777
PORT = 5555

ETHERNET = struct.Struct("!6s6sH")
IP, ARP, RARP = 0x0800, 0x0806, 0x8035
ARP_HEAD = bytes.fromhex("0001080006040002")  # an answer
UDP = 17


def checksum(header):
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def datagram_to_guest(payload):
    """A frame with a UDP datagram; one without a checksum is allowed."""
    udp = struct.pack("!4H", PORT, GUEST_PORT, 8 + len(payload), 0) + payload
    source, target = socket.inet_aton(ADDRESS), socket.inet_aton(GUEST_ADDRESS)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, UDP, 0) + source + target
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return ETHERNET.pack(GUEST_CARD, CARD, IP) + head + udp


def message_in(frame):
    """The guest's message in a UDP datagram, or None."""
    if len(frame) < 42 or ETHERNET.unpack_from(frame)[2] != IP or frame[23] != UDP:
        return None
    try:
        return json.loads(frame[42:])
    except ValueError:
        return None


class Sink:
    """A context manager. `messages`: (gate, message) in the order of arrival, gate being the path
    that the frame came from; `announced`: gates that a card was announced through."""

    def __init__(self, path):
        self.path = path
        self.messages = []
        self.announced = set()
        self._news = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(os.fspath(path))
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _read(self):
        while frame_from := self._recv():
            self._take(*frame_from)

    def _recv(self):
        try:
            frame, gate = self._socket.recvfrom(65536 + 4096)
        except OSError:
            return None
        return (frame, gate) if frame else None

    def _take(self, frame, gate):
        kind = ETHERNET.unpack_from(frame)[2]
        if kind == ARP and frame[38:42] == socket.inet_aton(ADDRESS):
            self._answer(frame, gate)
        with self._news:
            if kind == RARP:
                self.announced.add(gate)
            elif message := message_in(frame):
                self.messages.append((gate, message))
            self._news.notify_all()

    def _answer(self, question, gate):
        answer = ARP_HEAD + CARD + socket.inet_aton(ADDRESS) + question[22:32]
        self._socket.sendto(ETHERNET.pack(GUEST_CARD, CARD, ARP) + answer, gate)

    def of(self, gate, key):
        """The messages with that key that came by a gate."""
        with self._news:
            return [message for at, message in self.messages if at == gate and key in message]

    def ask(self, gate, command, key, timeout_s=20):
        """The guest's answer to a datagram, which may get lost; None: there is none."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and not self.of(gate, key):
            self._socket.sendto(datagram_to_guest(command.encode()), gate)
            with self._news:
                self._news.wait(1)
        answers = self.of(gate, key)
        return answers[0] if answers else None
