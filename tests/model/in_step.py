#!/usr/bin/env python3
"""The model and the product speak of the same states and the same rules: what one has and the other
lacks is a mistake."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tidy"))
sys.dont_write_bytecode = True

import sources  # noqa: E402

RULES = tuple(f"R{number}" for number in range(1, 10))
# Where the product enforces them: the controller's core, and the gate in the protected program.
CODE = ("failover/core", "colo/core")


def states_of_table(text):
    body = re.search(r"#define TANDEM_STATE_TABLE\(X\)((?:.*\\\n)*.*)", text)
    return re.findall(r"\bX\((\w+)\)", body.group(1)) if body else []


def states_of_model(text):
    body = re.search(r"TANDEM_STATE_TABLE\. \*/\s*mtype\s*=\s*\{([^}]*)\}", text)
    return re.findall(r"\w+", body.group(1)) if body else []


def cited(text):
    """Rules that comments name, each by itself: a range cites none of them."""
    comments = " ".join(comment for _, comment in sources.comments(text))
    return set(re.findall(r"\bR[1-9]\b", re.sub(r"\bR\d(?:\.\.| to )R\d\b", " ", comments)))


def switches(text):
    """Rules that can be left out of the model."""
    return {f"R{number}" for number in re.findall(r"\bWITHOUT_R(\d)\b", text)}


def left_out(text):
    """Rules that a variant is without."""
    return set(re.findall(r"\b_without\(\"(R\d)\"", text))


def compare_states(table, model):
    if not table or not model:
        return ["the list of states is not found: machine.h, TANDEM_STATE_TABLE; words.pml, mtype"]
    if table == model:
        return []
    mistakes = [f"failover/core/machine.h has the state {name}, tests/model/words.pml has not"
                for name in table if name not in model]
    mistakes += [f"tests/model/words.pml has the state {name}, failover/core/machine.h has not"
                 for name in model if name not in table]
    return mistakes or ["the states of failover/core/machine.h and tests/model/words.pml differ in order"]


def compare_rules(code, model, removable, run):
    places = {
        "a comment of " + " or ".join(CODE): code,
        "a comment of tests/model/*.pml": model,
        "tests/model/*.pml as WITHOUT_Rn": removable,
        "the variants of tests/model/variants_failover.py": run,
    }
    return [f"{rule} is not cited by {place}"
            for place, found in places.items() for rule in RULES if rule not in found]


def union(root, patterns, reader):
    found = set()
    for path in sources.files(root, *patterns):
        found |= reader(sources.read(root, path))
    return found


def check(root):
    table = states_of_table(sources.read(root, "failover/core/machine.h"))
    model = states_of_model(sources.read(root, "tests/model/words.pml"))
    code = union(root, [f"{folder}/*.[ch]" for folder in CODE], cited)
    mistakes = compare_states(table, model)
    mistakes += compare_rules(
        code,
        union(root, ["tests/model/*.pml"], cited),
        union(root, ["tests/model/*.pml"], switches),
        left_out(sources.read(root, "tests/model/variants_failover.py")),
    )
    return mistakes, len(table) + len(RULES)


if __name__ == "__main__":
    sources.main(check)
