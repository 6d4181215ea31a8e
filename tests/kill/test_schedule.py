"""The rounds of a run: as many as asked, every phase forced often enough, repeatable."""

import unittest
from collections import Counter

from kill import schedule
from kill.stats_file import PHASES


def plans(kills_count, stops_count, phase="auto", seed=1):
    return schedule.plans(kills_count, stops_count, phase, seed, "tcp", keep=False)


class Rounds(unittest.TestCase):
    def test_counts(self):
        kinds = Counter(plan.kind for plan in plans(100, 20))
        self.assertEqual(kinds, {"kill": 100, "stop": 20})

    def test_every_phase_three_times(self):
        forced = Counter(plan.forced_phase for plan in plans(100, 0))
        for phase in PHASES:
            self.assertEqual(forced[phase], schedule.FORCED_EACH)

    def test_what_a_run_has_to_reach(self):
        self.assertEqual(schedule.each_phase_min(100, "auto"), schedule.FORCED_EACH)
        self.assertEqual(schedule.each_phase_min(10, "auto"), 0)
        self.assertEqual(schedule.each_phase_min(100, "seal"), 0)

    def test_half_at_least_is_left_to_chance(self):
        for kills_count in (1, 2, 5, 10, 50, 100):
            made = plans(kills_count, 0)
            self.assertLessEqual(2 * sum(bool(plan.forced_phase) for plan in made), kills_count)

    def test_one_phase_or_none(self):
        self.assertEqual({plan.forced_phase for plan in plans(5, 2, "seal")}, {"seal"})
        self.assertEqual({plan.forced_phase for plan in plans(5, 2, "random")}, {""})

    def test_the_seed_decides(self):
        self.assertEqual(plans(5, 5), plans(5, 5))
        self.assertNotEqual(plans(5, 5), plans(5, 5, seed=2))

    def test_numbers_are_unique(self):
        numbers = [plan.number for plan in plans(30, 30)]
        self.assertEqual(len(set(numbers)), 60)


if __name__ == "__main__":
    unittest.main()
