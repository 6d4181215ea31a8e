"""tandem-kv's clients: bytes that are no RESP."""

from e2e.bad_input import wires
from e2e.bad_input.field import Wrong, attack
from oracle import resp

_FATAL = (
    b"*1\r\n+PING\r\n", b"*-2x\r\n", b"*99999999\r\n", b"*2147483648\r\n", b"*1\r\n$-1\r\n",
    b"*1\r\n$99999999999\r\n", b"*1\r\n$536870913\r\n", b"*1\r\n$4\r\nPINGxx", b"*1\r\n$abc\r\n",
    b"*" + b"1" * 200, b"*1\r\n$" + b"1" * 200, b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n:5\r\n",
    b'"unbalanced\r\n', b"SET 'a\r\n", b"x" * 70000, b"*1\n$4\nPING\n",
)
_ANSWERED = (
    (b"*0\r\n", b""), (b"\r\n", b""), (b"*-1\r\n", b""),
    (resp.encode(b"NOSUCH", b"\xff\x00\r\n"), b"-ERR unknown command"),
    (resp.encode(b""), b"-ERR"), (resp.encode(b"GET"), b"-ERR wrong number of arguments"),
    (resp.encode(b"INCR", b"load:text"), b"-ERR"), (resp.encode(b"SELECT", b"99"), b"-ERR"),
    (resp.encode(b"SET", b"k" * 5000, b"v"), b"-"), (resp.encode(b"SET", b"", b"v"), b""),
    (resp.encode(b"SET", b"bad:ex", b"v", b"EX", b"-9223372036854775808"), b"-ERR"),
    (resp.encode(b"SCAN", b"18446744073709551616"), b"-ERR"),
)


def _talk(field, data):
    address = field.healthy.layout.nodes["a"].serve_at
    connection = wires.connect(address)
    wires.send(connection, data)
    return connection


@attack("client-garbage")
def client_garbage(field):
    with _talk(field, resp.encode(b"SET", b"load:text", b"abc")) as connection:
        wires.read_exactly(connection, 5)
    for data in _FATAL:
        with _talk(field, data) as connection:
            reply = wires.read_until_closed(connection)
            if not reply.startswith(b"-ERR Protocol error"):
                raise Wrong(f"{data[:40]!r} was answered by {reply[:80]!r}")
    for data, beginning in _ANSWERED:
        with _talk(field, data + resp.encode(b"PING") + resp.encode(b"QUIT")) as connection:
            reply = wires.read_until_closed(connection)
            if not reply.startswith(beginning) or not reply.endswith(b"+PONG\r\n+OK\r\n"):
                raise Wrong(f"{data[:40]!r} was answered by {reply[:80]!r}")


@attack("client-random")
def client_random(field):
    """Random bytes, and right commands that are cut anywhere."""
    rng = field.rng
    for _ in range(60):
        with _talk(field, rng.randbytes(rng.choice((1, 10, 1000, 50000)))):
            pass
    right = resp.encode(b"SET", b"bad:cut", b"v" * 100)
    for at in range(len(right)):
        with _talk(field, right[:at]):
            pass
    bulk = b"*3\r\n$3\r\nSET\r\n$7\r\nbad:big\r\n$1048576\r\n"
    connections = [_talk(field, bulk + bytes(100000)) for _ in range(20)]
    for connection in connections:
        connection.close()
