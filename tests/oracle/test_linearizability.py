"""The checker accepts what has an order and rejects what has none."""

import unittest

from oracle import linearizability
from oracle.histories import (
    RandomHistory, count, get, has_order, incr, mget, mset, set_,
)
from oracle.search import Verdict


def verdict(operations, **options):
    findings = linearizability.check(operations, **options)
    return findings[0].verdict if findings else Verdict.LINEARIZABLE


class Accepted(unittest.TestCase):
    def accept(self, *operations):
        self.assertEqual(verdict(operations), Verdict.LINEARIZABLE)

    def test_nothing(self):
        self.accept()

    def test_read_of_the_last_write(self):
        self.accept(set_(1, 0, 10), set_(2, 20, 30), get(2, 40, 50))

    def test_overlapping_write_seen_or_not(self):
        self.accept(set_(1, 0, 10), set_(2, 20, 60), get(1, 25, 30), get(2, 40, 50))

    def test_unanswered_write_seen_on_the_other_node(self):
        self.accept(set_(1, 0, 10), set_(2, 20, None), get(2, 100, 110, node="b"))

    def test_unanswered_write_never_seen(self):
        self.accept(set_(1, 0, 10), set_(2, 20, None), get(1, 100, 110, node="b"))

    def test_unanswered_write_seen_late(self):
        self.accept(set_(1, 0, 10), set_(2, 20, None), get(1, 30, 40), get(2, 50, 60))

    def test_late_reply_of_the_old_primary(self):
        """Invoked before the take-over, released by an acknowledgement, delivered long after."""
        self.accept(
            set_(1, 0, 10), get(1, 20, 500, connection=5),
            set_(2, 100, 110, connection=7, node="b"), get(2, 200, 210, connection=8, node="b"),
        )

    def test_counter_with_unanswered_increments(self):
        self.accept(
            incr(1, 0, 10), incr(None, 5, None, 2), incr(None, 6, None, 3), incr(3, 20, 30),
            count(3, 40, 50), count(4, 60, 70),
        )

    def test_many_unanswered_increments_are_no_work(self):
        lost = [incr(None, connection, None, connection) for connection in range(10, 60)]
        self.accept(*lost, incr(41, 100, 110, 1), count(51, 200, 210, 2))

    def test_atomic_write_of_several_cells(self):
        self.accept(mset((1, 1), 0, 50), mget((0, 0), 5, 10), mget((1, 1), 20, 30))

    def test_operations_of_one_connection_in_a_row(self):
        self.accept(set_(1, 0, 90), set_(2, 1, 90), get(2, 2, 90, connection=0))


class Rejected(unittest.TestCase):
    def reject(self, *operations):
        self.assertEqual(verdict(operations), Verdict.NOT_LINEARIZABLE)

    def test_stale_read_after_a_newer_acknowledged_write(self):
        self.reject(set_(1, 0, 10), set_(2, 20, 30), get(1, 40, 50))

    def test_lost_write(self):
        self.reject(set_(1, 0, 10), get(0, 100, 110, node="b"))

    def test_lost_write_that_was_read_before(self):
        """Nobody got its acknowledgement, but somebody saw it: then it must stay."""
        self.reject(set_(1, 0, None), get(1, 10, 20), get(0, 100, 110, node="b"))

    def test_read_from_the_future(self):
        self.reject(get(1, 0, 10), set_(1, 20, 30))

    def test_read_of_what_nobody_wrote(self):
        self.reject(set_(1, 0, 10), get(7, 20, 30))

    def test_reads_that_go_back(self):
        self.reject(set_(1, 0, 10), set_(2, 20, 100), get(2, 30, 40), get(1, 50, 60))

    def test_two_nodes_that_both_lead(self):
        self.reject(
            set_(1, 0, 10),
            set_(2, 20, 30, connection=5, node="b"),
            set_(3, 40, 50, connection=0, node="a"),
            get(2, 60, 70, connection=6, node="b"),
        )

    def test_old_primary_answers_a_read_from_old_memory(self):
        self.reject(
            set_(1, 0, 10), set_(2, 20, 30, connection=5, node="b"), get(1, 40, 50, node="a")
        )

    def test_lost_increment(self):
        self.reject(incr(1, 0, 10), incr(1, 20, 30))

    def test_counter_that_lost_acknowledged_increments(self):
        self.reject(incr(1, 0, 10), incr(2, 20, 30), count(1, 40, 50, node="b"))

    def test_counter_with_more_than_was_asked(self):
        self.reject(incr(1, 0, 10), incr(None, 5, None, 2), count(3, 40, 50))

    def test_unanswered_increment_before_its_invocation(self):
        self.reject(incr(1, 0, 10), count(2, 20, 30), incr(None, 40, None, 2))

    def test_half_of_an_atomic_write(self):
        self.reject(mset((1, 1), 0, 50), mget((1, 0), 10, 20))

    def test_half_of_an_unanswered_atomic_write(self):
        self.reject(mset((1, 1), 0, None), mget((0, 1), 100, 110, node="b"))

    def test_operations_of_one_connection_out_of_order(self):
        self.reject(set_(1, 0, 90), set_(2, 1, 90), get(1, 2, 90, connection=0), get(1, 95, 99))


class AgainstTheDefinition(unittest.TestCase):
    """Search and trying every order agree on small random histories, and both answers occur."""

    def compare(self, make, size):
        seen = {True: 0, False: 0}
        for seed in range(1500):
            model, operations = make(RandomHistory(seed), size)
            expected = has_order(model, operations)
            found = verdict(operations) is Verdict.LINEARIZABLE
            seen[expected] += 1
            self.assertEqual(found, expected, f"seed {seed}: " + "; ".join(
                operation.describe() for operation in operations))
        self.assertGreater(seen[True], 100)
        self.assertGreater(seen[False], 100)

    def test_groups(self):
        self.compare(RandomHistory.group, 5)

    def test_larger_groups(self):
        self.compare(RandomHistory.group, 6)

    def test_counters(self):
        self.compare(RandomHistory.counter, 3)

    def test_more_increments(self):
        self.compare(RandomHistory.counter, 4)


class Report(unittest.TestCase):
    def test_names_the_operation_that_no_order_explains(self):
        stale = get(1, 40, 50)
        finding = linearizability.check([set_(1, 0, 10), set_(2, 20, 30), stale])[0]
        self.assertIs(finding.stuck_at, stale)
        self.assertIn("> get group 1 cells [0] = (1,)", linearizability.describe(finding))

    def test_giving_up_is_no_pass(self):
        many = [set_(number, number, 1000 + number, connection=number) for number in range(1, 9)]
        self.assertEqual(verdict(many + [get(99, 2000, 2001)], steps_max=50), Verdict.UNDECIDED)


if __name__ == "__main__":
    unittest.main()
