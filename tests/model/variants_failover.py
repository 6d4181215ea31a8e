"""The variants of the model of the failover rules."""

from pathlib import Path

from model.variant import Model, Variant

MODEL = Model(
    Path(__file__).resolve().parent / "failover.pml",
    "G{GENERATIONS} O{OPERATIONS} P{PLANE_CRASHES} C{CONTROLLER_CRASHES}",
    "-O0",
    ("-DNOCOMP",),  # as they are: without channels there is nothing in them to leave out
)


def _variant(generations, operations, switches=(), plane_crashes=0, controller_crashes=0, **more):
    bounds = {
        "GENERATIONS": generations,
        "OPERATIONS": operations,
        "PLANE_CRASHES": plane_crashes,
        "CONTROLLER_CRASHES": controller_crashes,
    }
    return Variant(MODEL, bounds, switches, **more)


def _without(rule, generations, *switches, **more):
    return _variant(generations, 1, (f"WITHOUT_{rule}", *switches), must_fail=True, **more)


# Where each node keeps records of its own, and switches the other one off before it takes over.
_OWN_RECORDS = ("WITH_LEAVING", "OWN_RECORDS", "STRICT")


VARIANTS = {
    "take-overs": _variant(4, 1),
    "planes-crash": _variant(3, 1, plane_crashes=1),
    "controllers-crash": _variant(3, 1, controller_crashes=1),
    "switchover": _variant(3, 1, ("WITH_SWITCHOVER",)),
    "maintenance": _variant(2, 1, ("WITH_MAINTENANCE",), plane_crashes=1),
    "strict": _variant(3, 1, ("STRICT",), plane_crashes=1),
    "leaving": _variant(3, 1, ("WITH_LEAVING",)),
    "leaving-own-records": _variant(3, 1, _OWN_RECORDS, plane_crashes=1),
    "deep-take-overs": _variant(5, 1, is_deep=True),
    "deep-operations": _variant(4, 2, is_deep=True),
    "deep-planes-crash": _variant(4, 1, plane_crashes=1, is_deep=True),
    "deep-controllers-crash": _variant(4, 1, controller_crashes=1, is_deep=True),
    "deep-all-crash": _variant(3, 2, plane_crashes=1, controller_crashes=1, is_deep=True),
    "deep-switchover": _variant(4, 2, ("WITH_SWITCHOVER",), is_deep=True),
    "deep-maintenance": _variant(3, 1, ("WITH_MAINTENANCE",), is_deep=True),
    "deep-leaving": _variant(4, 1, ("WITH_LEAVING",), is_deep=True),
    "deep-leaving-planes-crash": _variant(3, 1, ("WITH_LEAVING",), plane_crashes=1, is_deep=True),
    "deep-leaving-own-records": _variant(4, 1, _OWN_RECORDS, plane_crashes=1, is_deep=True),
    "without-R1": _without("R1", 2),
    "without-R2": _without("R2", 2),
    "without-R3": _without("R3", 2),
    "without-R4": _without("R4", 2),
    "without-R5": _without("R5", 3),
    "without-R6": _without("R6", 4),
    "without-R7": _without("R7", 4),
    "without-R8": _without("R8", 4, plane_crashes=1),
    "without-R9": _without("R9", 2, "WITH_SWITCHOVER"),
    "without-left-recorded": _without("LEFT_RECORDED", 2, "WITH_LEAVING"),
    "without-left-told": _without("LEFT_TOLD", 3, *_OWN_RECORDS),
    "without-left-leads-nobody": _without("LEFT_LEADS_NOBODY", 3, *_OWN_RECORDS),
    "without-left-loses": _without("LEFT_LOSES", 3, *_OWN_RECORDS, plane_crashes=1),
    "without-left-followed": _without("LEFT_FOLLOWED", 3, *_OWN_RECORDS, plane_crashes=1),
    "without-left-by-one": _without("LEFT_BY_ONE", 4, *_OWN_RECORDS, plane_crashes=1),
    "witness": _variant(4, 1, ("WITNESS",), must_fail=True),
    "witness-leaving": _variant(4, 1, ("WITH_LEAVING", "WITNESS_LEAVING"), must_fail=True),
}
