"""The nodes of a round in virtual machines with soft-RoCE: what ends is a whole host."""

from e2e.lab_pair import LabPair
from kill.layout import free_ports
from matrix.bed import Ledger, Sink, Watched
from lab import LabUnavailable  # noqa: F401 (e2e.lab_pair has put its folder into the path)

_HOST = "10.0.2.2"  # this computer, as a machine sees it
_STEP_US = 4000  # of an emulated processor


class LabMatrixPair(Watched, LabPair):
    """A context manager."""

    def __init__(self, programs, provider="rdma"):
        port = free_ports()
        self._sink_at = f"127.0.0.1:{port}"
        super().__init__(programs, provider, program=Ledger(f"{_HOST}:{port}", _STEP_US))
        self.nodes = {"a": self.a, "b": self.b}
        self.sink = None

    def __enter__(self):
        super().__enter__()
        try:
            self.sink = Sink(self._sink_at)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *exception):
        super().__exit__(*exception)
        if self.sink:
            self.sink.close()

    def _pair_status(self, name):
        return None if self.nodes[name].has_ended() else super()._pair_status(name)

    def crashes(self):
        return []
