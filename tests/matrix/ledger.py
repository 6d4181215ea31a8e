"""What the ledger's memory holds after which steps: ledger_memory.c again, from outside."""

import hmac

PAGE_BYTES = 4096
PAGES = 256
STEP_PAGES = 8
ZERO_ONE_IN = 16
LINK_BYTES = 32
NO_LINK = bytes(LINK_BYTES)
_KEY = b"ledger"
_SLIP = int.from_bytes(
    bytes((index // LINK_BYTES) % 256 for index in range(PAGE_BYTES)), "little"
)


def digest(data):
    return hmac.digest(_KEY, data, "sha256")


def next_link(link, salt, step):
    return digest(link + salt.to_bytes(8, "little") + step.to_bytes(8, "little"))


def pages_of(link):
    """Which pages a step writes, in order."""
    numbers = (int.from_bytes(link[2 * i : 2 * i + 2], "little") for i in range(STEP_PAGES))
    return [0, *(1 + number % (PAGES - 1) for number in numbers)]


def page(link, number):
    """What a step writes to a page."""
    content = digest(link + number.to_bytes(4, "little"))
    if number != 0 and content[0] % ZERO_ONE_IN == 0:
        return bytes(PAGE_BYTES)
    repeated = int.from_bytes(content * (PAGE_BYTES // LINK_BYTES), "little")
    return (repeated ^ _SLIP).to_bytes(PAGE_BYTES, "little")


def memory(links):
    """The whole memory after steps with these links, the first step's first."""
    left = set(range(PAGES))
    pages = [bytes(PAGE_BYTES)] * PAGES
    for link in reversed(links):
        for number in pages_of(link):
            if number in left:
                left.remove(number)
                pages[number] = page(link, number)
        if not left:
            break
    return b"".join(pages)
