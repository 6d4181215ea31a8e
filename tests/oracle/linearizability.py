"""Is a history linearizable? Objects are judged one by one: the property is local (Herlihy and
Wing, 1990, theorem 1), and no operation touches two objects."""

from collections import defaultdict, namedtuple

from oracle.models import Counter, Group
from oracle.search import Search, Verdict

MODELS = {"group": Group, "counter": Counter}
STEPS_MAX = 5_000_000

Finding = namedtuple("Finding", "target verdict stuck_at operations")


def check(operations, steps_max=STEPS_MAX):
    """The findings: one for each object whose history is not proved linearizable."""
    by_target = defaultdict(list)
    for operation in operations:
        by_target[operation.target].append(operation)
    findings = []
    for target, own in by_target.items():
        outcome = Search(MODELS[target[0]], own, steps_max).run()
        if outcome.verdict is not Verdict.LINEARIZABLE:
            findings.append(Finding(target, outcome.verdict, outcome.stuck_at, own))
    return findings


def describe(finding, lines_max=40):
    """The finding as text: the operation that no order explains, and its neighbours in time."""
    own = sorted(finding.operations, key=lambda operation: operation.invoked)
    lines = [f"{finding.target[0]} {finding.target[1]}: {finding.verdict.value}"]
    at = own.index(finding.stuck_at) if finding.stuck_at in own else len(own)
    first = max(0, at - lines_max // 2)
    for operation in own[first : first + lines_max]:
        mark = ">" if operation is finding.stuck_at else " "
        lines.append(f" {mark} {operation.describe()}")
    return "\n".join(lines)
