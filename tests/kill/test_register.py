"""What the register's history says about who answered."""

import unittest

from kill import register
from oracle import histories


class DoubleAnswers(unittest.TestCase):
    REIGNS = [("a", 0, 100), ("b", 100, 200), ("a", 200, 300)]

    def check(self, *operations):
        return register.double_answers(self.REIGNS, operations)

    def test_one_after_the_other_is_right(self):
        own = histories.get(1, 50, 60, node="a")
        taken_over = histories.get(1, 110, 120, node="b")
        again = histories.get(1, 210, 220, node="a")
        self.assertEqual(self.check(own, taken_over, again), [])

    def test_a_late_reply_is_right(self):
        late = histories.get(1, 90, 150, node="a")
        taken_over = histories.get(1, 110, 120, node="b")
        self.assertEqual(self.check(late, taken_over), [])

    def test_the_old_one_may_answer_until_the_new_one_does(self):
        own = histories.get(1, 105, 108, node="a")
        taken_over = histories.get(1, 110, 120, node="b")
        self.assertEqual(self.check(own, taken_over), [])

    def test_asked_after_the_new_one_answered_is_wrong(self):
        taken_over = histories.get(1, 110, 120, node="b")
        stale = histories.get(1, 130, 140, node="a")
        self.assertEqual(self.check(taken_over, stale), [stale])


class Parsing(unittest.TestCase):
    def test_other_bytes_are_no_record(self):
        self.assertIsNone(register.parse(b"gen"))
        self.assertIsNone(register.parse(bytes(108)))
