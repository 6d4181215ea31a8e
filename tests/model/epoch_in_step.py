#!/usr/bin/env python3
"""The model of the epochs and colo/core speak of the same phases, events and rules. What the model
leaves out is named here with the reason; what neither has is a mistake."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tidy"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.dont_write_bytecode = True

import sources  # noqa: E402
from model import variants_epoch  # noqa: E402

MODEL = "tests/model/epoch/*.pml"
CONTROLLER = "the controller's, and the failover model's"
TIME = "about time, which has no place in the model"
ROOM = "the memory of the secondary is always there"

# Events of colo/core that no step of the model stands for.
EVENTS_OUTSIDE = {
    "LEAD": CONTROLLER,
    "QUIESCE": CONTROLLER,
    "HALT": CONTROLLER,
    "RELEASE": CONTROLLER,
    "LEASED": CONTROLLER,
    "STAND_BY": CONTROLLER,
    "FENCE": CONTROLLER,
    "TICK": TIME,
    "SLICED": "the model pushes page by page",
    "PREPARED": ROOM,
    "VOID": "a fence that fails makes the copy unpromotable",
}
# Sentences of section C of docs/protocol.md that say nothing about what a copy holds.
SENTENCES_OUTSIDE = {
    "C1": "the form of HELLO",
    "C2": CONTROLLER,
    "C7": CONTROLLER,
    "C8": CONTROLLER,
    "C9": TIME,
    "C19": CONTROLLER,
    "C20": CONTROLLER,
    "C21": CONTROLLER,
    "C22": "the model's tracker does not fail",
    "C26": CONTROLLER,
    "C27": "the model's regions stay as they are",
    "C32": ROOM,
    "C33": ROOM,
    "C34": ROOM,
    "C35": "what a program needs besides its memory",
}
# What colo/core is being given now: one side may have it and the other not, until the model has it.
IN_PROGRESS = {"STAGED", "DRAINED", "STAGING", "DRAINING", "C31"}


def phases_of_core(text):
    body = re.search(r"#define TANDEM_PRIMARY_PHASE_TABLE\(X\)((?:.*\\\n)*.*)", text)
    return re.findall(r"\bX\((\w+)\)", body.group(1)) if body else []


def phases_of_model(text):
    body = re.search(r"TANDEM_PRIMARY_PHASE_TABLE\. \*/\s*mtype\s*=\s*\{([^}]*)\}", text)
    return re.findall(r"\w+", body.group(1)) if body else []


def events_of_core(text):
    return set(re.findall(r"^\tTANDEM_(?:PRIMARY|SECONDARY)_ON_(\w+),", text, re.MULTILINE))


def named_events(text):
    """Events that comments name as ON_..."""
    comments = " ".join(comment for _, comment in sources.comments(text))
    return set(re.findall(r"\bON_(\w+)", comments))


def sentences(text):
    return set(re.findall(r"^- \[(C\d+)\]", text, re.MULTILINE))


def cited(text):
    comments = " ".join(comment for _, comment in sources.comments(text))
    return {number for group in re.findall(r"\[([^\]]*)\]", comments)
            for number in re.findall(r"\bC\d+", group)}


def switches(text):
    return set(re.findall(r"\bWITHOUT_(\w+)", sources.blank(text)))


def compare_phases(core, model, text):
    """Each phase is entered by the model, or its comment says why it is not."""
    core = [name for name in core if name not in IN_PROGRESS]
    if not core or core != model:
        return [f"the phases of colo/core/primary.h are {core}, those of tests/model/epoch/words.pml"
                f" {model}"]
    body = re.search(r"/\* Not entered here:.*?\*/", text, re.DOTALL)
    left_out = re.findall(r"\b[A-Z]{3,}\b", body.group(0)) if body else []
    entered = set(re.findall(r"\b[A-Z]{3,}\b", re.sub(r"mtype = \{[^}]*\};", "", sources.blank(text))))
    mistakes = [f"tests/model/epoch does not enter the phase {name}, and words.pml does not say why"
                for name in core if name not in entered and name not in left_out]
    return mistakes


def compare(what, core, model, outside, place):
    core, model = core - IN_PROGRESS, model - IN_PROGRESS
    mistakes = [f"{place}: {what} {name} is neither in a comment of {MODEL} nor, with the reason, in"
                " tests/model/epoch_in_step.py" for name in sorted(core - model - set(outside))]
    mistakes += [f"tests/model/epoch_in_step.py: {what} {name} is in the model"
                 for name in sorted(model & set(outside))]
    mistakes += [f"tests/model: {what} {name} is not in {place}"
                 for name in sorted((model | set(outside)) - core)]
    return mistakes


def compare_rules(removable, variants):
    """Each rule that can be left out is left out once."""
    left_out = [switch.removeprefix("WITHOUT_") for variant in variants.values()
                for switch in variant.switches if switch.startswith("WITHOUT_")]
    mistakes = [f"tests/model/variants_epoch.py leaves out {rule} {left_out.count(rule)} times"
                for rule in sorted(removable) if left_out.count(rule) != 1]
    return mistakes + [f"{MODEL} knows nothing of WITHOUT_{rule}"
                       for rule in sorted(set(left_out) - removable)]


def check(root):
    model = "\n".join(sources.read(root, path) for path in sources.files(root, MODEL))
    primary = sources.read(root, "colo/core/primary.h")
    events = events_of_core(primary) | events_of_core(sources.read(root, "colo/core/secondary.h"))
    protocol = sentences(sources.read(root, "docs/protocol.md"))
    rules = switches(model)
    mistakes = compare_phases(phases_of_core(primary), phases_of_model(model), model)
    mistakes += compare("the event", events, named_events(model), EVENTS_OUTSIDE, "colo/core")
    mistakes += compare("the sentence", protocol, cited(model), SENTENCES_OUTSIDE, "docs/protocol.md")
    mistakes += compare_rules(rules, variants_epoch.VARIANTS)
    return mistakes, len(events) + len(protocol) + len(rules)


if __name__ == "__main__":
    sources.main(check)
