import unittest

from model import in_step


class TestInStep(unittest.TestCase):
    def test_states_of_both_sides_are_read(self):
        table = "#define TANDEM_STATE_TABLE(X)  \\\n\tX(INIT)  \\\n\tX(GATED)\n\nX(NOT_ONE)\n"
        model = "/* in the order of TANDEM_STATE_TABLE. */\nmtype = {\n\tINIT,\n\tGATED\n};\n"
        self.assertEqual(in_step.states_of_table(table), ["INIT", "GATED"])
        self.assertEqual(in_step.states_of_model(model), ["INIT", "GATED"])

    def test_a_state_that_one_side_lacks_is_named(self):
        for table, model in ((["A", "B"], ["A"]), (["A"], ["A", "B"])):
            mistakes = in_step.compare_states(table, model)
            self.assertEqual(len(mistakes), 1)
            self.assertIn("state B", mistakes[0])

    def test_no_states_at_all_is_a_mistake(self):
        self.assertTrue(in_step.compare_states([], []))

    def test_another_order_is_a_mistake(self):
        self.assertTrue(in_step.compare_states(["A", "B"], ["B", "A"]))

    def test_only_comments_cite_and_a_range_cites_nothing(self):
        text = "/* R1..R9 are the rules, R2 to R4 too */ int R5; /* R7, R8: held */ // R6\n"
        self.assertEqual(in_step.cited(text), {"R6", "R7", "R8"})

    def test_a_rule_that_any_place_lacks_is_named(self):
        every = set(in_step.RULES)
        self.assertEqual(in_step.compare_rules(every, every, every, every), [])
        for place in range(4):
            found = [every - {"R4"} if index == place else every for index in range(4)]
            mistakes = in_step.compare_rules(*found)
            self.assertEqual(len(mistakes), 1)
            self.assertIn("R4", mistakes[0])


if __name__ == "__main__":
    unittest.main()
