"""F10: frames are lost, late, doubled, overtaken or damaged. No fail-over, and nothing lost."""

from matrix.story import Case

WATCHED_SECONDS = 4
# Patient enough for the worst of them: nine of ten beats in a row are never lost.
_PATIENT = {
    "heartbeat_interval_ms": "50", "heartbeat_misses": "20", "solo_after_ms": "3000",
    "commit_timeout_ms": "5000", "connect_timeout_ms": "5000",
}
WITH_CABLE = {"has_second_heartbeat": True, "has_cable": True, "options": _PATIENT}


def disturbed(name, **how):
    def play(story):
        story.start()
        story.work()
        story.pair.network.disturb(**how)
        story.strike()
        story.stays_paired(WATCHED_SECONDS, 2, count=2)
        story.pair.network.disturb()
        story.prove("a")

    return Case(name, play, WITH_CABLE)


def take_over_disturbed(story):
    """The first copy, a take-over and a new copy, all over a bad cable."""
    story.pair.network.disturb(loss=0.02, duplication=0.02, damage=0.01, delay_ms=(0, 10),
                               overtaking=True)
    story.start()
    story.work(20)
    story.strike()
    story.end_node("a")
    story.goes_on("b")
    story.pair.restart("a")
    story.prove("b")


F10 = [
    *(disturbed(f"loss {share:.0%}", loss=share) for share in (0.01, 0.05, 0.2)),
    disturbed("delay 1 to 50 ms", delay_ms=(1, 50)),
    disturbed("delay 1 to 50 ms, overtaking", delay_ms=(1, 50), overtaking=True),
    disturbed("duplication 20%", duplication=0.2),
    disturbed("damage 5%", damage=0.05),
    disturbed("some of each", loss=0.02, duplication=0.05, damage=0.02, delay_ms=(0, 20),
              overtaking=True),
    Case("some of each from the first copy to a take-over", take_over_disturbed, WITH_CABLE),
]
