"""The last acknowledged value or a later unacknowledged one, nothing else."""

import unittest

from oracle import loss
from oracle.histories import count, get, incr, mget, set_


class Cells(unittest.TestCase):
    WRITES = [set_(1, 0, 10), set_(2, 20, 30), set_(3, 40, None), set_(4, 41, None)]

    def lost_sequences(self, read_sequence, writes=None):
        read = get(read_sequence, 100, 110, node="b")
        return [found.written.sequences[0] for found in loss.find(writes or self.WRITES, [read])]

    def test_last_acknowledged(self):
        self.assertEqual(self.lost_sequences(2), [])

    def test_later_unacknowledged(self):
        self.assertEqual(self.lost_sequences(3), [])
        self.assertEqual(self.lost_sequences(4), [])

    def test_older_value(self):
        self.assertEqual(self.lost_sequences(1), [2])

    def test_no_value(self):
        self.assertEqual(self.lost_sequences(0), [1, 2])

    def test_torn_or_foreign_value(self):
        self.assertEqual(self.lost_sequences(-1), [1, 2])
        self.assertEqual(self.lost_sequences(9), [1, 2])

    def test_pipelined_writes_of_one_connection_have_an_order(self):
        writes = [set_(1, 0, 50), set_(2, 1, 50)]
        self.assertEqual(self.lost_sequences(1, writes), [2])

    def test_overlapping_writes_of_two_connections_have_none(self):
        writes = [set_(1, 0, 50, connection=0), set_(2, 1, 40, connection=1)]
        self.assertEqual(self.lost_sequences(1, writes), [])
        self.assertEqual(self.lost_sequences(2, writes), [])

    def test_unacknowledged_write_older_than_the_last_acknowledged(self):
        writes = [set_(1, 0, None, connection=3), set_(2, 20, 30)]
        self.assertEqual(self.lost_sequences(1, writes), [])  # it may have had its effect late
        writes = [set_(1, 0, 10), set_(2, 20, 30), set_(3, 40, 50)]
        self.assertEqual(self.lost_sequences(1, writes), [2, 3])

    def test_several_cells_in_one_read(self):
        writes = [set_(1, 0, 10, cell=0), set_(1, 20, 30, cell=1)]
        read = mget((1, 0), 100, 110)
        self.assertEqual([found.cell for found in loss.find(writes, [read])], [1])


class Counters(unittest.TestCase):
    WRITES = [incr(1, 0, 10), incr(2, 20, 30), incr(None, 40, None)]

    def lost_count(self, value):
        return len(loss.find(self.WRITES, [count(value, 100, 110, node="b")]))

    def test_all_there(self):
        self.assertEqual(self.lost_count(2), 0)
        self.assertEqual(self.lost_count(3), 0)

    def test_one_lost(self):
        self.assertEqual(self.lost_count(1), 1)

    def test_impossible_number(self):
        self.assertEqual(self.lost_count(4), 2)


if __name__ == "__main__":
    unittest.main()
