"""The judge is judged: a right story passes, and each wrong one is found."""

import unittest

from matrix import ledger
from matrix.judge import READ, STEP, Judge, Life, Record


class Program:
    """A ledger as it should be: its own memory of links goes from life to life."""

    def __init__(self):
        self.now_ns = 0
        self.asked = {}

    def begin(self, node, generation, links, salt):
        life = Life(node, generation, len(links), salt, links[-1] if links else ledger.NO_LINK,
                    ledger.digest(ledger.memory(links)), self._tick())
        life.links = list(links)
        return life

    def _tick(self):
        self.now_ns += 10
        return self.now_ns

    def step(self, life, is_out=True):
        number = len(life.links) + 1
        previous = life.links[-1] if life.links else ledger.NO_LINK
        life.links.append(ledger.next_link(previous, life.salt, number))
        if is_out:
            life.steps.append(self._record(STEP, life, 0))

    def read(self, life, known, asked_ns=None):
        number = len(self.asked) + 1
        self.asked[number] = (self._tick() if asked_ns is None else asked_ns, known)
        life.reads.append(self._record(READ, life, number))

    def _record(self, kind, life, number):
        now = self._tick()
        return Record(kind, life.node, life.generation, len(life.links), number, now,
                      life.links[-1], b"", now)


class JudgeTest(unittest.TestCase):
    def setUp(self):
        """Node a makes steps 1 to 5; 6 is committed and not out; b goes on from there."""
        self.program = Program()
        self.a = self.program.begin("a", 1, [], salt=7)
        for _ in range(5):
            self.program.step(self.a)
        self.program.read(self.a, known=5)
        self.program.step(self.a, is_out=False)
        self.b = self.program.begin("b", 3, self.a.links, salt=9)
        for _ in range(3):
            self.program.step(self.b)
        self.program.read(self.b, known=9)

    def judge(self, *lives, **options):
        return Judge(list(lives) or [self.a, self.b], self.program.asked).judge(**options)

    def assert_found(self, text, problems):
        self.assertTrue(any(text in each for each in problems), problems)

    def test_a_right_story_passes(self):
        self.assertEqual(self.judge(), [])

    def test_a_step_that_is_missing_after_the_take_over(self):
        b = self.program.begin("b", 3, self.a.links[:4], salt=9)
        self.program.step(b)
        self.assert_found("let out steps 5 to 5", self.judge(self.a, b))

    def test_both_go_on(self):
        self.program.step(self.a)
        self.assert_found("let out steps 7 to 7", self.judge())

    def test_one_byte_of_the_memory_is_another(self):
        self.b.digest = ledger.digest(b"\1" + ledger.memory(self.a.links)[1:])
        self.assert_found("its memory was not that of step 6", self.judge())

    def test_the_memory_is_of_the_step_before(self):
        self.b.digest = ledger.digest(ledger.memory(self.a.links[:5]))
        self.assert_found("its memory was not that of step 6", self.judge())

    def test_a_history_that_nobody_made(self):
        self.b.link = bytes(32)
        self.assert_found("a history that nobody made", self.judge())

    def test_a_generation_that_two_nodes_share(self):
        self.b.steps = [each._replace(generation=1) for each in self.b.steps]
        self.assert_found("nodes a and b let out in generation 1", self.judge())

    def test_the_old_one_answers_what_is_asked_after(self):
        self.program.read(self.a, known=5)
        self.assert_found("asked after", self.judge())

    def test_an_answer_that_is_too_old(self):
        self.program.read(self.a, known=8, asked_ns=0)
        self.assert_found("read step 6, asked when step 8 was out", self.judge())

    def test_an_answer_of_a_step_that_was_lost(self):
        self.program.step(self.a, is_out=False)
        self.program.read(self.a, known=5, asked_ns=0)
        self.assert_found("read step 7, which was lost", self.judge())

    def test_a_gap(self):
        del self.b.steps[1]
        self.assert_found("where 8 follows", self.judge())

    def test_a_repeated_step(self):
        self.b.steps.insert(1, self.b.steps[0])
        self.assert_found("where 8 follows", self.judge())

    def test_beginning_anew_is_a_loss_unless_every_copy_was_killed(self):
        anew = self.program.begin("a", 5, [], salt=11)
        self.program.step(anew)
        lives = [self.a, self.b, anew]
        self.assertNotEqual(self.judge(*lives), [])
        self.assertEqual(self.judge(*lives, may_begin_anew=True), [])


class LedgerTest(unittest.TestCase):
    def test_every_page_is_what_its_last_step_wrote(self):
        links, pages = [], [bytes(ledger.PAGE_BYTES)] * ledger.PAGES
        for step in range(1, 40):
            links.append(ledger.next_link(links[-1] if links else ledger.NO_LINK, 5, step))
            for number in ledger.pages_of(links[-1]):
                pages[number] = ledger.page(links[-1], number)
            self.assertEqual(ledger.memory(links), b"".join(pages))


if __name__ == "__main__":
    unittest.main()
