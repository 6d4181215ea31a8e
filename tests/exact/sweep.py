"""What a checkpoint does where the system has no room: memory and files that cannot be had are one
clear line, and change nothing for the program; with room again the copy is exact."""

import errno
import os
import random
import signal
import subprocess
import time

from exact import cover, places
from exact.bed import CheckedPair
from exact.rounds import Plan, Result, play
from kill import wait
from matrix.rows_host import HostFaults

SMALL_MEGABYTES = (2, 7)  # the image needs 8
MEMORY_MEGABYTES = (8, 16, 32, 64)  # of address space, too little in different places
STANDBY_MEGABYTES = (0, 3, 12)  # of address space, besides what it has when it stands by
ROOM_PASSAGES = (1, 5)
STANDS_BY = ("tandemd: node b of cluster", ": standing by")
STANDBY_REFUSALS = ("no memory for", "MiB of memory", "free memory, or raise the limit")
STORM_SECONDS = 0.5
STORM_PLACES = ("scanned", "seal", "wait", "welcome")
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


def _address_bytes(process):
    with open(f"/proc/{process}/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGESIZE")


def _limit_memory(process, limit):
    """The soft limit: nobody but a privileged process raises the hard one again."""
    subprocess.run(["prlimit", "--pid", process, f"--as={limit}:"], check=True)


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


def failing_disk(programs, seed, error):
    """Files of the secondary's image cannot be made; later they can, and none is written any more
    when the take-over has begun."""
    def play_with(pair, problems):
        faults = HostFaults(pair, "b")
        directory = pair.layout.nodes["b"].image_directory
        faults.fail(HostFaults.OPEN | HostFaults.WRITE | HostFaults.ALLOCATE, error, directory)
        pair.b.start_controller()
        pair.b.start_data_plane(faults.environment)
        pair.a.start(True)
        _work(pair)
        wait.until(lambda: os.strerror(error) in _log(pair, "b"), LINE_SECONDS,
                   "a line that says why")
        if pair.stats().is_pair:
            problems.append("a pair without an image")
        if not faults.heal():
            problems.append("no call was hit")
        pair.wait_pair()
        _work(pair)
        _end_and_judge(pair, problems)

    return _with_pair(f"{errno.errorcode[error]} of the image", programs, seed, play_with)


def _is_refusal(line):
    return "refused: " in line and any(text in line for text in STANDBY_REFUSALS)


def standby_with_little_memory(programs, seed, megabytes):
    """It cannot hold the copy, says so and stands by; with memory it becomes one."""
    def play_with(pair, problems):
        pair.b.start(with_server=False)
        wait.until(lambda: all(text in _log(pair, "b") for text in STANDS_BY), LINE_SECONDS,
                   "a standby")
        process = str(pair.b.process_id("tandemd"))
        _limit_memory(process, _address_bytes(process) + (megabytes << 20))
        pair.a.start(True)
        _work(pair)
        wait.until(lambda: any(_is_refusal(line) for line in _log(pair, "b").splitlines()),
                   LINE_SECONDS, "a line that says why")
        if pair.stats().is_pair:
            problems.append("a pair without memory for its copy")
        if not pair.b.is_running("tandemd"):
            problems.append("the standby has ended")
            return
        _limit_memory(process, "unlimited")
        pair.wait_pair()
        _work(pair)
        _end_and_judge(pair, problems)

    return _with_pair(f"standby with {megabytes} MiB more", programs, seed, play_with)


def memory_runs_out(programs, seed):
    """Of the program at work: not one more page, and a session is lost meanwhile."""
    def play_with(pair, problems):
        pair.start()
        pair.wait_pair()
        _work(pair)
        process = str(pair.a.process_id("checker"))
        _limit_memory(process, 1 << 20)
        pair.break_session()
        _work(pair)
        if not pair.a.is_running("checker"):
            problems.append("the program has ended")
            return
        _limit_memory(process, "unlimited")
        pair.wait_pair()
        _work(pair)
        _end_and_judge(pair, problems)

    return _with_pair("no more memory for a program at work", programs, seed, play_with)


def standby_in_a_storm(programs, seed):
    """It is stopped and goes on again and again, which interrupts system calls without a handler,
    too."""
    def play_with(pair, problems):
        pair.start()
        pair.wait_pair()
        rng, until = random.Random(seed), time.monotonic() + STORM_SECONDS
        while time.monotonic() < until:
            pair.b.signal_program("tandemd", signal.SIGSTOP)
            wait.passed(rng.random() * 0.001)
            pair.b.signal_program("tandemd", signal.SIGCONT)
            wait.passed(rng.random() * 0.001)
        _work(pair)
        _end_and_judge(pair, problems)

    return _with_pair("standby stopped again and again", programs, seed, play_with)


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


def room_that_somebody_else_took(programs, seed, passage):
    """It was there when the copy began, and is gone when pages of the image are to have it."""
    def play_with(pair, problems):
        pair.b.start_controller()
        pair.b.start_data_plane({"TANDEM_FAILPOINT": f"standby_room:error:{passage}"})
        pair.a.start(True)
        wait.until(lambda: "larger" in _log(pair, "b"), LINE_SECONDS, "a line that says why")
        pair.wait_pair()
        _work(pair)
        _end_and_judge(pair, problems)

    return _with_pair(f"no room at piece {passage} of the image", programs, seed, play_with)


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
    at = [place for place in places.PLACES
          if place.name in STORM_PLACES and place.how == places.KILL]
    yield from (lambda place=place: play(Plan(0, seed, place, cover.DEFAULT, has_storm=True),
                                         programs) for place in at)
    yield from (lambda error=error: failing_disk(programs, seed, error)
                for error in (errno.EIO, errno.ENOSPC))
    for make in (tracker_fails, standby_without_memory, state_file_without_room,
                 memory_runs_out, standby_in_a_storm):
        yield lambda make=make: make(programs, seed)
    yield from (lambda passage=passage: room_that_somebody_else_took(programs, seed, passage)
                for passage in ROOM_PASSAGES)
    yield from (lambda size=size: standby_with_little_memory(programs, seed, size)
                for size in STANDBY_MEGABYTES)
    yield from (lambda size=size: little_memory(programs, seed, size) for size in MEMORY_MEGABYTES)
    if os.geteuid() == 0:
        yield from (lambda size=size: small_disk(programs, seed, size) for size in SMALL_MEGABYTES)
