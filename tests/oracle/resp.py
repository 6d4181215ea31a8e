"""RESP2: commands out, replies in."""


class ReplyError(Exception):
    """An error reply ("-ERR ...") of the server."""


class ProtocolError(Exception):
    """Bytes that are no RESP2 reply."""


def encode(*arguments):
    """One command as an array of bulk strings."""
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        parts.append(b"$%d\r\n%s\r\n" % (len(argument), argument))
    return b"".join(parts)


def parse(data, start):
    """The reply at data[start:] as (reply, next start), or None when it is not complete yet.

    A nil bulk or array is None, a status is bytes, an error reply is a ReplyError object.
    """
    line_end = data.find(b"\r\n", start)
    if line_end < 0:
        return None
    kind = data[start : start + 1]
    rest = data[start + 1 : line_end]
    after = line_end + 2
    if kind == b"$":
        return _parse_bulk(data, _number(rest), after)
    if kind == b"+":
        return bytes(rest), after
    if kind == b":":
        return _number(rest), after
    if kind == b"*":
        return _parse_array(data, _number(rest), after)
    if kind == b"-":
        return ReplyError(rest.decode("utf-8", "replace")), after
    raise ProtocolError(f"reply starts with {bytes(data[start:line_end])[:40]!r}")


def _number(text):
    try:
        return int(text)
    except ValueError:
        raise ProtocolError(f"{bytes(text)[:40]!r} is no number") from None


def _parse_bulk(data, length, start):
    if length < 0:
        return None, start
    end = start + length
    if len(data) < end + 2:
        return None
    if data[end : end + 2] != b"\r\n":
        raise ProtocolError("bulk string without its end")
    return bytes(data[start:end]), end + 2


def _parse_array(data, count, start):
    if count < 0:
        return None, start
    items = []
    for _ in range(count):
        parsed = parse(data, start)
        if parsed is None:
            return None
        items.append(parsed[0])
        start = parsed[1]
    return items, start
