"""The variants of the model of the epochs."""

from pathlib import Path

from model.variant import Model, Variant

MODEL = Model(
    Path(__file__).resolve().parent / "epoch" / "epoch.pml",
    "E{EPOCHS} S{STORES} L{SESSION_LOSSES} C{CHANNEL_LOSSES} A{GIVE_UPS} R{RESTARTS}",
    "-O0",
)


def _variant(epochs, stores, *switches, sessions=0, channels=0, give_ups=0, restarts=0, **more):
    bounds = {
        "EPOCHS": epochs,
        "STORES": stores,
        "SESSION_LOSSES": sessions,
        "CHANNEL_LOSSES": channels,
        "GIVE_UPS": give_ups,
        "RESTARTS": restarts,
    }
    return Variant(MODEL, bounds, switches, **more)


def _without(rule, epochs, stores, *switches, **more):
    switches = (f"WITHOUT_{rule}", "TOLERANT", *switches)
    return _variant(epochs, stores, *switches, must_fail=True, **more)


def _deep(epochs, stores, *switches, **more):
    return _variant(epochs, stores, *switches, is_deep=True, **more)


VARIANTS = {
    "epoch-stop": _variant(3, 3, "NO_PUSH_AHEAD"),
    "epoch-stage": _variant(3, 3, "NO_PUSH_AHEAD", "STAGE"),
    "epoch-push-ahead": _variant(2, 2),
    "epoch-stage-push-ahead": _variant(2, 2, "STAGE"),
    "epoch-zeros": _variant(2, 2, "WITH_ZEROS"),
    "epoch-given-up": _variant(2, 2, give_ups=1),
    "epoch-channel": _variant(2, 1, channels=1),
    "epoch-session": _variant(2, 2, sessions=1),
    "epoch-restart": _variant(2, 1, restarts=1),
    "epoch-resync": _variant(2, 1, "WITH_FILES", restarts=1),
    "epoch-deep-stop": _deep(3, 3),
    "epoch-deep-stage": _deep(3, 3, "STAGE"),
    "epoch-deep-zeros": _deep(3, 3, "WITH_ZEROS"),
    "epoch-deep-given-up": _deep(3, 2, give_ups=1),
    "epoch-deep-channel": _deep(2, 2, channels=1),
    "epoch-deep-channel-zeros": _deep(2, 2, "WITH_ZEROS", "STAGE", channels=1),
    "epoch-deep-session": _deep(3, 2, sessions=1),
    "epoch-deep-sessions": _deep(2, 2, sessions=2),
    "epoch-deep-restart": _deep(2, 2, "WITH_ZEROS", restarts=1),
    "epoch-deep-resync": _deep(2, 2, "WITH_FILES", "STAGE", sessions=1, restarts=1),
    "epoch-deep-all": _deep(2, 1, sessions=1, channels=1, give_ups=1, restarts=1),
    "without-committed": _without("COMMITTED", 1, 1),
    "without-mask": _without("MASK", 1, 1),
    "without-mask-kept": _without("MASK_KEPT", 2, 1, give_ups=1),
    "without-wait-applied": _without("WAIT_APPLIED", 1, 2),
    "without-wait-sealed": _without("WAIT_SEALED", 1, 2),
    "without-wait-zero": _without("WAIT_ZERO", 2, 3, "WITH_ZEROS"),
    "without-channel": _without("CHANNEL", 1, 2),
    "without-channel-kept": _without("CHANNEL_KEPT", 2, 2, give_ups=1),
    "without-slot-channel": _without("SLOT_CHANNEL", 2, 1, give_ups=1),
    "without-open-channels": _without("OPEN_CHANNELS", 2, 2),
    "without-return-wait": _without("RETURN_WAIT", 3, 1, channels=1, give_ups=1),
    "without-merge": _without("MERGE", 2, 1, channels=1),
    "without-merged-kind": _without("MERGED_KIND", 2, 2, "WITH_ZEROS", channels=1),
    "without-settle": _without("SETTLE", 1, 2),
    "without-staged-copy": _without("STAGED_COPY", 1, 2, "STAGE"),
    "without-in-flight": _without("IN_FLIGHT", 1, 2, "STAGE"),
    "without-rearm-first": _without("REARM_FIRST", 1, 2),
    "without-private-copy": _without("PRIVATE_COPY", 2, 1),
    "without-apply-before-commit": _without("APPLY_BEFORE_COMMIT", 2, 1),
    "without-landing-in-calls": _without("LANDING_IN_CALLS", 2, 2),
    "without-channel-fence": _without("CHANNEL_FENCE", 2, 1, channels=1),
    "without-bar": _without("BAR", 2, 2, channels=1),
    "without-new-number": _without("NEW_NUMBER", 2, 1, "MUST_END", channels=1),
    "without-session-fence": _without("SESSION_FENCE", 2, 2, sessions=1),
    "without-apply-before-welcome": _without("APPLY_BEFORE_WELCOME", 2, 2, sessions=1),
    "without-asking": _without("ASKING", 1, 1, sessions=1),
    "without-repush-all": _without("REPUSH_ALL", 1, 1, sessions=1),
    "without-same-life": _without("SAME_LIFE", 2, 2, restarts=1),
    "without-full-copy": _without("FULL_COPY", 2, 1, restarts=1),
    "without-unrecorded": _without("UNRECORDED", 1, 2, "WITH_ZEROS", restarts=1),
    "without-digests-end": _without("DIGESTS_END", 2, 2, "WITH_ZEROS", restarts=1),
    "without-digests-of-image": _without("DIGESTS_OF_IMAGE", 1, 1, sessions=1, restarts=1),
    "without-armed-digests": _without("ARMED_DIGESTS", 1, 1, restarts=1),
    "without-finished-apply": _without("FINISHED_APPLY", 1, 1),
}
