"""What happens, with the seconds since the start at the left."""

import os
import time


class Timeline:
    """The start is now, or what TANDEM_TIMELINE_START says (seconds of the Unix epoch)."""

    def __init__(self):
        self._clear = ""  # what takes a line away that is to be written over
        self.started = float(os.environ.get("TANDEM_TIMELINE_START", 0)) or time.time()

    @property
    def seconds(self):
        return time.time() - self.started

    def tell(self, text):
        print(f"{self._clear}{self.seconds:7.1f} s  {text}", flush=True)
        self._clear = ""

    def show_copy(self, stats):
        """How far a copy is, on one line of the terminal that the next text takes over."""
        self._clear = "\r\033[K"
        print(f"{self._clear}{self.seconds:7.1f} s  {copy_text(stats)}", end="", flush=True)


def copy_text(stats):
    """"copy: 25 %, 64 of 256 MiB at 800 MiB/s, 0.2 s left"."""
    total, done, rate = stats.copy_bytes_total, stats.copy_bytes_done, stats.copy_bytes_per_s
    percent = min(99, done * 100 // total) if total else 0
    left = f" at {rate >> 20} MiB/s, {max(0, total - done) / rate:.1f} s left" if rate else ""
    return f"copy: {percent} %, {done >> 20} of {total >> 20} MiB{left}"
