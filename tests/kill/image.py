"""The promoted image, read with LMDB's own tools."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from oracle import keys, value
from oracle.operation import Kind

_RECORD_HEADER_BYTES = 8  # expiry, see examples/tandem-kv/record.h


class ImageError(Exception):
    """The image cannot be read or does not agree."""


def disagreements(image_directory, reads):
    """Reads the copy of a database that nobody serves and compares it with what the oracle read
    last; lines that say what differs."""
    with tempfile.TemporaryDirectory(prefix="tandem-image-", dir="/dev/shm") as scratch:
        path = _copy(image_directory, Path(scratch))
        _run("mdb_stat", "-n", str(path))
        records = _parse(_run("mdb_dump", "-n", str(path)))
    found = []
    for read in reads:
        for key, sequence in zip(keys.of(read.target, read.cells), read.sequences):
            stored = _sequence(read, key, records.get(key))
            if stored != sequence:
                found.append(f"{key.decode()}: image holds {stored}, the oracle read {sequence}")
    return found


def _copy(image_directory, scratch):
    files = [path for path in Path(image_directory).iterdir() if path.is_file()]
    databases = [path for path in files if _is_database(path)]
    if len(databases) != 1:
        raise ImageError(f"no single database among {[path.name for path in files]}")
    return shutil.copy(databases[0], scratch / "image")


def _is_database(path):
    """LMDB's magic follows the header of its first page."""
    with open(path, "rb") as file:
        return file.read(20)[16:] == bytes.fromhex("dec0efbe")


def _run(*command):
    ended = subprocess.run(command, capture_output=True, timeout=60, check=False)
    if ended.returncode or ended.stderr:
        raise ImageError(f"{command[0]}: {ended.stderr.decode(errors='replace').strip()}")
    return ended.stdout


def _parse(dump):
    """Keys to values, from the lines between HEADER=END and DATA=END: a blank, then hex digits."""
    lines = iter(dump.split(b"\nHEADER=END\n", 1)[1].split(b"\n"))
    records = {}
    for line in lines:
        if not line.startswith(b" "):
            break
        key = bytes.fromhex(line.decode())
        records[key] = bytes.fromhex(next(lines).decode())[_RECORD_HEADER_BYTES:]
    return records


def _sequence(read, key, stored):
    if stored is None:
        return 0
    return int(stored) if read.kind is Kind.COUNT else value.decode(key, stored)
