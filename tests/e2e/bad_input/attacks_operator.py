"""The operator's socket of tandem-failoverd: what is no request is answered with its mistake."""

import json
import time

from e2e.bad_input import operator, wires
from e2e.bad_input.field import Wrong, attack
from e2e.bad_input.vitals import resident_kib
from kill import wait


def _mistake(field, line, text=""):
    with operator.connect(field.healthy, "b") as connection:
        connection.sendall(line + b"\n")
        answer = json.loads(operator.read_line(connection))
        if answer.get("ok") is not False or text not in answer["error"]:
            raise Wrong(f"{line[:60]!r} was answered by {answer}")
        connection.sendall(b'{"command":"status"}\n')
        if json.loads(operator.read_line(connection)).get("ok") is not True:
            raise Wrong(f"no status after {line[:60]!r}")


@attack("operator-lines")
def operator_lines(field):
    one_object = "one JSON object on one line"
    for line in (b"", b"hello", b"{", b"{}x", b"[]", b"1", b"null", b'"status"', b'{"command"}',
                 b"\x00", b'{"command":"status"}\x00', b'{"command":"status"}{"command":"yank"}',
                 b'{"command":"\xff\xfe"}', b"\xef\xbb\xbf{}", b"'status'", field.rng.randbytes(500)
                 .replace(b"\n", b" "), b"[" * 4000, b'{"a":' * 700, b'{"command":[[[[[[["status"]]]]]]]}'):
        _mistake(field, line, one_object)
    _mistake(field, b"{}", "'command' is missing")
    for line in (b'{"command":"sudo"}', b'{"command":"STATUS"}', b'{"command":"yank\\u0000"}',
                 b'{"command":""}', b'{"command":7}', b'{"command":null}', b'{"command":["yank"]}',
                 b'{"command":"status","force":true}', b'{"command":"status","pair":7}',
                 b'{"command":"status","pair":"other"}', b'{"command":"yank"}',
                 b'{"command":"promote","pair":"kv"}', b'{"command":"promote","pair":"kv","generation":-1}',
                 b'{"command":"promote","pair":"kv","generation":1e3}',
                 b'{"command":"promote","pair":"kv","generation":99999999999999999999999}',
                 b'{"command":"force-primary","pair":"kv"}',
                 b'{"command":"force-primary","pair":"kv","accept_data_loss":"yes"}',
                 b'{"command":"maintenance","pair":"kv"}', b'{"command":"maintenance","pair":"kv","on":1}',
                 b'{"command":"status","pair":"' + b"k" * 2000 + b'"}'):
        _mistake(field, line)
    _mistake(field, b'{"command":"status","pair":"' + b"k" * 5000 + b'"}', "at most 4096 bytes")


@attack("operator-long-line")
def operator_long_line(field):
    """10 MB without and with an end: one answer, then the end; nothing is kept."""
    process_id = field.healthy.b.process_id("tandem-failoverd")
    before = resident_kib(process_id)
    for end in (b"", b"\n"):
        with operator.connect(field.healthy, "b") as connection:
            wires.send(connection, b"x" * (10 << 20) + end)
            reply = wires.read_until_closed(connection)
            if b"at most 4096 bytes" not in reply or reply.count(b"\n") != 1:
                raise Wrong(f"answered {reply[:200]!r}")
    grown = resident_kib(process_id) - before
    if grown > 4096:
        raise Wrong(f"{grown} KiB more than before")


@attack("operator-cut")
def operator_cut(field):
    """Requests without an end, connections without a request, more of them than there are places."""
    for data in (b"", b'{"command":"status"}', b"{"):
        with operator.connect(field.healthy, "b") as connection:
            connection.sendall(data)
    time.sleep(1.1)  # the controller complains once a second
    connections = [operator.connect(field.healthy, "b") for _ in range(60)]
    field.b.expect(r"an operator's connection was refused: too many are open")
    for connection in connections:
        connection.close()
    wait.until(lambda: _has_status(field), wires.WAIT_SECONDS, "a status when the crowd has left")


def _has_status(field):
    try:
        return operator.ask(field.healthy, "b", {"command": "status"})["ok"] is True
    except wires.Closed:  # it has yet to see that somebody left
        return False


@attack("operator-flood")
def operator_flood(field):
    """Requests without end from somebody who takes no answer: the controller does not store them."""
    process_id = field.healthy.b.process_id("tandem-failoverd")
    before = resident_kib(process_id)
    with operator.connect(field.healthy, "b") as connection:
        connection.settimeout(0.5)
        request = b'{"command":"status"}\n' * 1000
        sent = 0
        try:
            while sent < 40000:
                connection.sendall(request)
                sent += 1000
        except OSError:
            pass  # it is not read any more
        problems = field.healthy.check()
        if problems:
            raise Wrong(f"during the flood: {problems}")
        grown = resident_kib(process_id) - before
        if grown > 8192:
            raise Wrong(f"{sent} requests made it grow by {grown} KiB")
        connection.settimeout(wires.WAIT_SECONDS)
        for _ in range(100):
            if json.loads(operator.read_line(connection))["ok"] is not True:
                raise Wrong("a wrong answer")
