import unittest

from model import epoch_in_step
from model.variants_epoch import VARIANTS

TABLE = "#define TANDEM_PRIMARY_PHASE_TABLE(X) \\\n\tX(DOWN) \\\n\tX(OPEN) \\\n\tX(HELD)\n\nX(NOT_ONE)\n"
WORDS = """/* In the order of TANDEM_PRIMARY_PHASE_TABLE. */
mtype = { DOWN, OPEN, HELD };
/* Not entered here: HELD is the controller's. */
"""
STEP = "phase = OPEN; phase == DOWN"


class TestEpochInStep(unittest.TestCase):
    def test_phases_of_both_sides_are_read(self):
        self.assertEqual(epoch_in_step.phases_of_core(TABLE), ["DOWN", "OPEN", "HELD"])
        self.assertEqual(epoch_in_step.phases_of_model(WORDS), ["DOWN", "OPEN", "HELD"])

    def test_phases_must_be_the_same_and_entered_or_explained(self):
        phases = ["DOWN", "OPEN", "HELD"]
        compare = epoch_in_step.compare_phases
        self.assertEqual(compare(phases, phases, WORDS + STEP), [])
        self.assertTrue(compare(phases, phases[::-1], WORDS + STEP))
        self.assertTrue(compare([], [], WORDS + STEP))
        self.assertIn("DOWN", compare(phases, phases, WORDS + "phase = OPEN")[0])

    def test_events_are_read_from_enums_and_comments(self):
        enum = "enum x {\n\tTANDEM_PRIMARY_ON_TICK,\n\tTANDEM_SECONDARY_ON_SEAL, /* seals */\n};\n"
        self.assertEqual(epoch_in_step.events_of_core(enum), {"TICK", "SEAL"})
        self.assertEqual(epoch_in_step.named_events("/* ON_SEAL. */ ON_TICK"), {"SEAL"})

    def test_citations_and_sentences_are_read(self):
        self.assertEqual(epoch_in_step.sentences("- [C1] One.\n- [T2] Two.\n  [C3]\n"), {"C1"})
        self.assertEqual(epoch_in_step.cited("/* so [C1], and [C2, C3] */ x[C4]"), {"C1", "C2", "C3"})

    def test_what_one_side_lacks_is_named(self):
        def compare(core, model, outside):
            return epoch_in_step.compare("the event", core, model, outside, "colo/core")

        self.assertEqual(compare({"A", "B"}, {"A"}, {"B": "why"}), [])
        for core, model, outside in (({"A", "B"}, {"A"}, {}), ({"A"}, {"A", "B"}, {}),
                                     ({"A"}, {"A"}, {"B": "why"})):
            mistakes = compare(core, model, outside)
            self.assertEqual(len(mistakes), 1)
            self.assertIn("B", mistakes[0])
        self.assertIn("A is in the model", compare({"A"}, {"A"}, {"A": "why"})[0])

    def test_a_rule_that_no_variant_or_no_model_leaves_out_is_named(self):
        rules = epoch_in_step.switches("#ifdef WITHOUT_MASK /* WITHOUT_WORDS */")
        self.assertEqual(rules, {"MASK"})
        variants = {"without-mask": VARIANTS["without-mask"]}
        self.assertEqual(epoch_in_step.compare_rules(rules, variants), [])
        self.assertIn("SETTLE", epoch_in_step.compare_rules({"MASK", "SETTLE"}, variants)[0])
        self.assertIn("MASK", epoch_in_step.compare_rules(set(), variants)[0])


if __name__ == "__main__":
    unittest.main()
