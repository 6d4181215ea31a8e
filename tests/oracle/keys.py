"""The names of the objects' keys."""

PREFIX = b"oracle:"


def group_cell(number, cell):
    return b"oracle:group:%d:%d" % (number, cell)


def counter(number):
    return b"oracle:counter:%d" % number


def of(target, cells):
    """The keys of some cells of an object, in order."""
    if target[0] == "counter":
        return [counter(target[1])]
    return [group_cell(target[1], cell) for cell in cells]
