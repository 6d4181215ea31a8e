"""What a checkpoint does where the system has no room: memory and files that cannot be had are one
clear line, and change nothing for the program; with room again the copy is exact."""

import os
import subprocess
import time

from exact import cover
from exact.bed import CheckedPair
from exact.rounds import Plan, Result, play
from kill import wait

SMALL_MEGABYTES = (4, 20)  # the image needs 24
MEMORY_MEGABYTES = (8, 24, 40, 64)  # of address space, too little in different places
THREADS_OR_MEMORY = ("memory", "thread", "mmap", "resource", "pthread_create")
LINE_SECONDS = 20


def _log(pair, name):
    return pair.layout.log_path(name).read_text(errors="replace")


def _work(pair, count=30):
    first = pair.acked()
    wait.until(lambda: pair.acked() >= first + count, 30, "acknowledged steps")


def _end_and_judge(pair, problems):
    acked = pair.acked()
    pair.kill_program()
    verdict = wait.until(pair.verdict, 30, "a promoted program")
    if verdict["different_pages"] or not verdict["is_state_good"] or verdict["step"] < acked:
        problems.append(f"acknowledged {acked}, promoted {verdict}")


def _with_pair(text, programs, seed, play_with):
    """The Result of play_with(pair, problems)."""
    result = Result(0, seed, text, cover.DEFAULT)
    started = time.monotonic()
    pair = CheckedPair(programs, seed, cover.DEFAULT)
    try:
        with pair:
            play_with(pair, result.problems)
            result.problems += pair.faults() + pair.crashes()
    except (wait.Timeout, OSError) as error:
        result.problems.append(f"{type(error).__name__}: {error}")
    finally:
        pair.layout.remove(keep_files=bool(result.problems))
        result.seconds = time.monotonic() - started
    return result


def small_disk(programs, seed, megabytes):
    """The image directory of the secondary is too small for the copy, and then large enough."""
    def play_with(pair, problems):
        directory = pair.layout.nodes["b"].image_directory
        directory.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "none",
                        str(directory)], check=True)
        try:
            pair.start()
            _work(pair)
            wait.until(lambda: "larger" in _log(pair, "b"), LINE_SECONDS, "a line that says why")
            if pair.stats().is_pair:
                problems.append("a pair without room for its image")
            _work(pair)
            subprocess.run(["mount", "-o", "remount,size=256m", str(directory)], check=True)
            pair.wait_pair()
            _work(pair)
            _end_and_judge(pair, problems)
        finally:
            subprocess.run(["umount", "-l", str(directory)], check=True)

    return _with_pair(f"image directory of {megabytes} MiB", programs, seed, play_with)


def little_memory(programs, seed, megabytes):
    """The program may have so much address space: it ends with one line, or it works."""
    def play_with(pair, problems):
        pair.b.start(with_server=False)
        pair.a.start(with_server=False)
        program = pair.layout.program
        command = ["prlimit", f"--as={megabytes << 20}", str(program.path(programs)),
                   *program.arguments(pair.layout.nodes["a"])]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=4, check=False)
        except subprocess.TimeoutExpired:
            return  # enough to work with
        _check_end(ended, problems)
        pair.a.start_server()
        try:
            pair.wait_pair()
        except wait.Timeout:
            # It had led already: its successor has other memory, and an operator must decide.
            wait.until(lambda: "force-primary" in pair.advice("a") + pair.advice("b"), LINE_SECONDS,
                       "PAIR, or an advice what to type")
            return
        _work(pair)
        _end_and_judge(pair, problems)

    return _with_pair(f"program with {megabytes} MiB of address space", programs, seed, play_with)


def _check_end(ended, problems):
    if ended.returncode < 0:
        problems.append(f"ended by signal {-ended.returncode}: {ended.stderr.strip()[-200:]}")
    elif not any(word in ended.stderr.lower() for word in THREADS_OR_MEMORY):
        problems.append(f"status {ended.returncode} without a word about memory:"
                        f" {ended.stderr.strip()[-200:]}")


def standby_without_memory(programs, seed):
    """It says so, and has room when it is asked again."""
    def play_with(pair, problems):
        pair.b.start_controller()
        pair.b.start_data_plane({"TANDEM_FAILPOINT": "standby_prepare:error:1"})
        pair.a.start(True)
        pair.wait_pair()
        if "leaves no memory" not in _log(pair, "b"):
            problems.append("the standby does not say why it refused")
        _work(pair)
        _end_and_judge(pair, problems)

    return _with_pair("standby without memory", programs, seed, play_with)


def state_file_without_room(programs, seed):
    """The take-over fails with a line; nothing is started."""
    def play_with(pair, problems):
        pair.b.start_controller()
        pair.b.start_data_plane({"TANDEM_FAILPOINT": "standby_state:error:1+"})
        pair.a.start(True)
        pair.wait_pair()
        _work(pair)
        pair.kill_program()
        wait.until(lambda: "leaves no room" in _log(pair, "b"), LINE_SECONDS, "a line that says why")
        if pair.verdict():
            problems.append("a program without its state file was started")

    return _with_pair("state file without room", programs, seed, play_with)


def tracker_fails(programs, seed):
    """The program goes on unprotected and is not copied any more; nobody takes over."""
    def play_with(pair, problems):
        pair.b.start(with_server=False)
        pair.a.start(True, {"TANDEM_FAILPOINT": "tracker:error:60+"})
        wait.until(lambda: pair.state("a") == "PRIMARY_SOLO" and "failpoint" in _log(pair, "a"),
                   LINE_SECONDS, "SOLO, and a line that says why")
        _work(pair)
        pair.kill_program()
        wait.until(lambda: "force-primary" in pair.advice("a") + pair.advice("b"), LINE_SECONDS,
                   "an advice what to type")
        if pair.verdict():
            problems.append("a copy that misses writes was promoted")

    return _with_pair("tracker fails", programs, seed, play_with)


def rounds(programs, seed):
    """Callables, each gives a Result."""
    yield from (lambda n=number: play(Plan(n, seed + n, None, cover.DEFAULT, has_storm=True),
                                      programs) for number in range(2))
    for make in (tracker_fails, standby_without_memory, state_file_without_room):
        yield lambda make=make: make(programs, seed)
    yield from (lambda size=size: little_memory(programs, seed, size) for size in MEMORY_MEGABYTES)
    if os.geteuid() == 0:
        yield from (lambda size=size: small_disk(programs, seed, size) for size in SMALL_MEGABYTES)
