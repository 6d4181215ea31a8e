"""The judgement on one story: what was acknowledged, what was lost, and is there an order."""

from oracle import linearizability, loss

_LINES_MAX = 20


class Verdict:
    def __init__(self, client, reads_back, must_read_back=True):
        """reads_back: what each read_back() gave; none at all, or a None, fails the verdict when it
        must be read back."""
        self.acknowledged_writes = client.tally.acknowledged_writes
        self.operations = len(client.history)
        self.torn = sorted(client.tally.torn_examples)
        self.torn_values = len(client.tally.torn_keys)
        self.protocol_errors = client.tally.protocol_errors
        self.was_read_back = (bool(reads_back) or not must_read_back) and None not in reads_back
        reads = [read for each in reads_back if each for read in each]
        self.lost = loss.find(client.history, reads)
        self.findings = linearizability.check(client.history)

    @property
    def lost_writes(self):
        return len(self.lost)

    @property
    def is_linearizable(self):
        return not self.findings

    @property
    def is_good(self):
        return (
            self.was_read_back
            and not self.lost
            and not self.torn_values
            and not self.protocol_errors
            and self.is_linearizable
        )

    def explain(self):
        """What is wrong, as lines; none when all is well."""
        lines = [] if self.was_read_back else ["not everything could be read back"]
        if self.protocol_errors:
            lines.append(f"{self.protocol_errors} connections carried bytes that are no RESP2 reply")
        for key, read in self.torn[:_LINES_MAX]:
            lines.append(f"torn: {key} reads {read!r}")
        for lost in self.lost[:_LINES_MAX]:
            lines.append(f"lost: {lost.written.describe()}; read back: {lost.read.describe()}")
        for finding in self.findings[:_LINES_MAX]:
            lines.append(linearizability.describe(finding))
        return lines
