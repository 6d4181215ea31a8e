"""The judgement on what a ledger's lives let out.

A life is one run of the program, from the moment at which it leads. Lives follow one another: the
one of the next generation begins with the memory that the last committed epoch had, and everything
that was let out must be in there.
"""

from collections import defaultdict, namedtuple
from dataclasses import dataclass, field

from matrix import ledger

START, STEP, READ, HALTED = 1, 2, 3, 4
_SHOWN_MAX = 5

Record = namedtuple("Record", "type node generation step number at_ns link digest seen_ns")


@dataclass
class Life:
    node: str
    generation: int  # in which it began
    step: int  # that its memory held then
    salt: int
    link: bytes
    digest: bytes  # of the memory that it found
    began_ns: int
    steps: list = field(default_factory=list)  # Record of each output
    reads: list = field(default_factory=list)
    is_over: bool = False

    @property
    def name(self):
        return f"{self.node}, generation {self.generation}"

    @property
    def last_step(self):
        return self.steps[-1].step if self.steps else self.step

    @property
    def outputs(self):
        return self.steps + self.reads


class Chain:
    """The links of one life after another; a life's own steps go on from those that it found."""

    def __init__(self):
        self.links = []  # of step 1, 2, ...

    def cut(self, step):
        del self.links[step:]

    def at(self, step):
        return self.links[step - 1] if step else ledger.NO_LINK

    def grow(self, salt, step):
        while len(self.links) < step:
            number = len(self.links) + 1
            self.links.append(ledger.next_link(self.at(number - 1), salt, number))


class Judge:
    """asked: {number: (nanoseconds of the question, highest step that was let out before)}."""

    def __init__(self, lives, asked):
        self.lives = sorted(lives, key=lambda life: (life.generation, life.began_ns))
        self.asked = asked
        self.problems = []

    def judge(self, may_begin_anew=False):
        """Lines that say what is wrong; may_begin_anew: the row killed every copy."""
        chain = Chain()
        for index, life in enumerate(self.lives):
            if may_begin_anew and life.step == 0:
                chain.cut(0)
            self._judge_begin(life, chain, is_first=index == 0)
            following = self.lives[index + 1] if index + 1 < len(self.lives) else None
            self._judge_outputs(life, chain, following, may_begin_anew)
        self._judge_generations()
        return self.problems

    def _say(self, text):
        if len(self.problems) < 20:
            self.problems.append(text)

    def _judge_begin(self, life, chain, is_first):
        if is_first and life.step != 0:
            self._say(f"{life.name}: the first life began at step {life.step}")
            return
        if life.step > len(chain.links) or chain.at(life.step) != life.link:
            self._say(f"{life.name}: began at step {life.step} of a history that nobody made")
            return
        chain.cut(life.step)
        if ledger.digest(ledger.memory(chain.links)) != life.digest:
            self._say(f"{life.name}: its memory was not that of step {life.step}")

    def _judge_outputs(self, life, chain, following, may_begin_anew):
        """No later life may lack what this one let out. The chain keeps what the following life
        may have found: also steps that were never let out."""
        begins_anew = following and may_begin_anew and following.step == 0
        end = following.step if following and not begins_anew else None
        chain.grow(life.salt, max([life.last_step, *(each.step for each in life.reads)]
                                  + ([end] if end else [])))
        lost = [each.step for each in life.steps if end is not None and each.step > end]
        if lost:
            self._say(f"{life.name}: let out steps {lost[0]} to {lost[-1]}, but {following.name}"
                      f" began at step {end}")
        self._judge_order(life, chain)
        for each in life.reads:
            self._judge_read(life, each, chain, end)

    def _judge_order(self, life, chain):
        expected = life.step
        for each in life.steps:
            expected += 1
            if each.step != expected or each.link != chain.at(each.step):
                self._say(f"{life.name}: let out step {each.step} where {expected} follows, or with"
                          " another content")
                return

    def _judge_read(self, life, read, chain, end):
        asked_ns, known = self.asked.get(read.number, (None, 0))
        if asked_ns is None:
            self._say(f"{life.name}: answered {read.number}, which nobody asked")
        elif read.step < known:
            self._say(f"{life.name}: read step {read.step}, asked when step {known} was out")
        elif read.link != chain.at(read.step):
            self._say(f"{life.name}: read step {read.step} with another content")
        elif end is not None and read.step > end:
            self._say(f"{life.name}: read step {read.step}, which was lost: the next life began at"
                      f" {end}")

    def _judge_generations(self):
        """Nobody shares a generation, and who leads by turns does so one after the other."""
        nodes = defaultdict(set)
        for life in self.lives:
            for each in life.outputs:
                nodes[each.generation].add(life.node)
        for generation, names in nodes.items():
            if len(names) > 1:
                self._say(f"nodes {' and '.join(sorted(names))} let out in generation {generation}")
        for earlier, later in zip(self.lives, self.lives[1:]):
            first = min((each.seen_ns for each in later.outputs), default=None)
            late = [each for each in earlier.reads if first is not None
                    and self.asked.get(each.number, (0, 0))[0] > first]
            if late:
                self._say(f"{earlier.name}: answered {len(late)} questions that were asked after"
                          f" {later.name} had let out")
