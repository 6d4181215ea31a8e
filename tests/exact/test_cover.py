import itertools
import random
import re
import unittest
from pathlib import Path

from exact import cover, places
from exact.rounds import Result


class TestCover(unittest.TestCase):
    def test_every_pair_of_values_is_met(self):
        chosen = cover.pairwise()
        for one, other in itertools.combinations(cover.FACTORS, 2):
            met = {(each[one], each[other]) for each in chosen}
            self.assertEqual(met, set(itertools.product(cover.FACTORS[one], cover.FACTORS[other])))

    def test_every_value_is_met_over_rdma(self):
        chosen = cover.over_rdma()
        self.assertEqual({each["provider"] for each in chosen}, {"rdma"})
        for factor in set(cover.FACTORS) - {"provider"}:
            self.assertEqual({each[factor] for each in chosen}, set(cover.FACTORS[factor]))

    def test_it_is_fewer_than_all_and_begins_with_the_default(self):
        factors = {name: ("0", "1", "2") for name in "abcd"}
        chosen = cover.pairwise(factors)
        self.assertEqual(set(chosen[0].values()), {"0"})
        self.assertLess(len(chosen), 20)


class TestPlaces(unittest.TestCase):
    def test_places_are_failpoints(self):
        table = Path(__file__).resolve().parents[2] / "base/include/tandem/failpoint_table.h"
        known = set(re.findall(r"\bX\((\w+),", table.read_text()))
        self.assertEqual({place.name for place in places.PLACES} - known, set())
        self.assertGreaterEqual(len({place.name for place in places.PLACES}), 25)

    def test_every_point_of_program_and_standby_is_a_place(self):
        table = Path(__file__).resolve().parents[2] / "base/include/tandem/failpoint_table.h"
        text = table.read_text().partition("/* a controller */")[0]
        names = set(re.findall(r"\bX\((\w+), [A-Z]", text))
        self.assertEqual(names - {place.name for place in places.PLACES}, set())

    def test_a_few_rounds_are_spread_over_the_groups(self):
        chosen = places.spread(len(places.GROUPS), random.Random(1))
        for group in places.GROUPS:
            self.assertEqual(len(set(chosen) & set(group)), 1)
        self.assertEqual(len(places.spread(5, random.Random(1))), 5)

    def test_a_channel_is_not_lost_where_there_is_but_one(self):
        place = places.Place("fence_asked", places.KILL, places.CHANNEL)
        self.assertFalse(place.can_be_met({"channels": "1"}))
        self.assertTrue(place.can_be_met({"channels": "4"}))
        self.assertFalse(place.can_be_met({"channels": "4", "provider": "rdma"}))

    def test_nothing_is_staged_where_the_push_is_in_the_pause(self):
        place = places.Place("drain", places.KILL, needs_stage=True)
        self.assertFalse(place.can_be_met({"channels": "4", "capture": "stop"}))
        self.assertTrue(place.can_be_met({"channels": "4", "capture": "stage"}))

    def test_what_is_staged_is_not_pushed_in_the_pause(self):
        place = places.Place("pushed", places.KILL, needs_stop=True)
        self.assertTrue(place.can_be_met({"channels": "4", "capture": "stop"}))
        self.assertFalse(place.can_be_met({"channels": "4", "capture": "stage"}))

    def test_a_round_that_was_not_played_has_no_wrong_image(self):
        problems = ["a timeout"]
        self.assertFalse(Result(0, 1, "seal", {}, problems=problems).is_image_wrong)
        self.assertFalse(Result(0, 1, "seal", {}, step=7, acked=7).is_image_wrong)
        self.assertTrue(Result(0, 1, "seal", {}, step=7, acked=8).is_image_wrong)
        self.assertTrue(Result(0, 1, "seal", {}, step=8, acked=8, different_pages=1).is_image_wrong)


if __name__ == "__main__":
    unittest.main()
