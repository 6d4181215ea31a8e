import importlib.machinery
import importlib.util
import re
import unittest
from pathlib import Path

_LOADER = importlib.machinery.SourceFileLoader(
    "model_run", str(Path(__file__).resolve().parent / "run")
)
_SPEC = importlib.util.spec_from_loader("model_run", _LOADER)
run = importlib.util.module_from_spec(_SPEC)
_LOADER.exec_module(run)

TRAIL = """\
  1:	proc  2 (Controller:1) /a/controller.pml:30 (state 1)	[state[n] = 6]
		state[0] = GATED
		state[1] = INIT
  1:	proc  2 (Controller:1) /a/controller.pml:31 (state 2)	[led[n] = 2]
		led[0] = 2
  2:	proc  3 (Program:1) /a/program.pml:9 (state 1)	[led[n] = 3]
spin: /a/judge.pml:15, Error: assertion violated
		led[0] = 3
spin: trail ends after 2 steps
		state[0] = HALTED
"""


def result(**values):
    return {"errors": 0, "must_fail": False, **values}


class TestRun(unittest.TestCase):
    def test_a_trail_is_told_as_steps_with_their_changes(self):
        self.assertEqual(
            list(run.steps(TRAIL)),
            [
                "Controller controller.pml:30: state[0] = GATED, led[0] = 2",
                "Program program.pml:9: assertion violated = judge.pml:15, led[0] = 3",
            ],
        )

    def test_a_sound_variant_must_have_no_error_and_be_searched_to_the_end(self):
        self.assertEqual(run.fault_of(result(), "errors: 0"), "")
        self.assertTrue(run.fault_of(result(errors=1), "pan:1: assertion violated x"))
        self.assertTrue(run.fault_of(result(), "Warning: Search not completed"))
        self.assertTrue(run.fault_of(result(), "error: max search depth too small"))
        self.assertTrue(run.fault_of(result(errors=-1), "pan: out of memory"))

    def test_a_variant_without_a_rule_must_have_one(self):
        self.assertEqual(run.fault_of(result(must_fail=True, errors=1), "assertion violated"), "")
        self.assertTrue(run.fault_of(result(must_fail=True), "errors: 0"))

    def test_every_rule_is_left_out_once(self):
        left_out = [s for name in run.UNSOUND for s in run.VARIANTS[name].switches]
        for number in range(1, 10):
            self.assertEqual(left_out.count(f"WITHOUT_R{number}"), 1)

    def test_every_rule_that_the_model_can_leave_out_is(self):
        folder = Path(__file__).resolve().parent
        model = "".join(path.read_text() for path in folder.glob("*.pml"))
        comments_apart = re.sub(r"/\*.*?\*/", "", model, flags=re.DOTALL)
        left_out = [switch for variant in run.MODELS["failover"].values()
                    for switch in variant.switches if switch.startswith("WITHOUT_")]
        self.assertEqual(sorted(left_out), sorted(set(re.findall(r"WITHOUT_\w+", comments_apart))))

    def test_no_name_means_two_variants(self):
        self.assertEqual(len(run.VARIANTS), sum(len(each) for each in run.MODELS.values()))

    def test_deep_variants_are_asked_for(self):
        quick, every = run.chosen("epoch", False), run.chosen("epoch", True)
        self.assertTrue(set(quick) < set(every))
        self.assertNotIn("take-overs", every)
        self.assertIn("take-overs", run.chosen(None, False))


if __name__ == "__main__":
    unittest.main()
