"""F18: bytes and settings that are wrong. The attacks are those of tests/e2e/bad_input."""

import subprocess
import sys
from pathlib import Path

from kill import wait
from matrix.story import Case

BAD_INPUT = Path(__file__).resolve().parents[1] / "e2e" / "bad_input"
GROUPS = ("door", "guest", "hello", "message", "write", "frame", "cache", "session", "seal",
          "fence", "heartbeat", "plane", "operator", "client", "primary", "repeated", "stranger")
ATTACK_SECONDS = 200


def attacks(group):
    """Nothing is believed, nothing crashes, and the healthy pair beside it does not notice."""
    def play(story):
        done = subprocess.run(
            [sys.executable, "-B", str(BAD_INPUT), "--build", str(story.programs.parent), "--only",
             f"{group}-", "--seed", str(story.random.getrandbits(31))],
            capture_output=True, text=True, timeout=ATTACK_SECONDS, check=False)
        if done.returncode != 0:
            story.problems += done.stdout.splitlines()[-20:] + done.stderr.splitlines()[-5:]

    return Case(f"attacks: {group}", play, None)


def other_setting(what, change):
    """One clear line, no pair, and the primary goes on; with the right file it is one."""
    def play(story):
        pair = story.pair
        right = pair.configuration_of("b").read_text()
        wrong = change(pair, right)
        if wrong is not None:
            pair.configuration_of("b").write_text(wrong)
        for name in "ba":
            pair.restart(name)
        pair.a.start_server()
        wait.until(lambda: pair.life("a"), 10, "a primary")
        pair.sink.tell("ask")
        story.strike()
        story.goes_on("a")
        story.hears("ab", "refused", "dropped")
        story.pass_time(1.5)
        story.check(not pair.stats("a").is_pair, "PAIR all the same")
        pair.b.kill()
        pair.configuration_of("b").write_text(right)
        pair.restart("b")
        story.prove("a")

    return Case(what, play, {"own_configurations": True})


def _other_key(pair, text):
    path = pair.layout.directory / "other.key"
    path.write_text("0123456789abcdef" * 2 + "\n")
    path.chmod(0o600)
    return text.replace(str(pair.layout.key_path), str(path))


F18 = [other_setting("another key on node b", _other_key),
       *(attacks(group) for group in GROUPS)]
