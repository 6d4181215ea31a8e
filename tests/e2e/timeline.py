"""What happens, with the seconds since the start at the left."""

import os
import time


class Timeline:
    """The start is now, or what TANDEM_TIMELINE_START says (seconds of the Unix epoch)."""

    def __init__(self):
        self.started = float(os.environ.get("TANDEM_TIMELINE_START", 0)) or time.time()

    @property
    def seconds(self):
        return time.time() - self.started

    def tell(self, text):
        print(f"{self.seconds:7.1f} s  {text}", flush=True)
