"""How a program in a machine ended is told as elsewhere."""

import unittest
from types import SimpleNamespace

from matrix.lab_bed import LabMatrixPair, MatrixNode


def pair_with(status):
    node = MatrixNode.__new__(MatrixNode)
    node._processes = {"tandemd": SimpleNamespace(status=status)}
    pair = LabMatrixPair.__new__(LabMatrixPair)
    pair.nodes = {"b": node}
    return pair


class CrashTest(unittest.TestCase):
    def test_a_crash_is_told(self):
        self.assertEqual(pair_with(128 + 11).crashes(), ["tandemd of node b ended by signal 11"])

    def test_what_runs_exits_or_is_killed_did_not_crash(self):
        for status in (None, 0, 3, 128 + 9, 128 + 15):
            self.assertEqual(pair_with(status).crashes(), [])


if __name__ == "__main__":
    unittest.main()
