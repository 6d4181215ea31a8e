"""The rdma provider on soft-RoCE: the contract, races and leaks, and what a frozen peer's beat, yank and fence are. How
peers die is in tests/stuck.

Run as `SCRIPT STORY BUILD_FOLDER [ROUNDS]`; of the story `channels`: their COUNTS; `exact` may name
PLACES after ROUNDS."""

import re
import signal
import sys
import time

from device_test import expect, main, until

from lab import Lab

PORT = 7471
# Far above what it takes; what is asserted is that nothing waits for ever.
SOON_S = 20
PEER_TIMEOUT_S = 1
YANK_LIMIT_MS = 2000

SECOND_ADDRESS = "10.78.0.1"
# A second soft-RoCE device on a network device of its own.
ADD_SECOND_DEVICE = ("modprobe veth; ip link add rail1 mtu 9000 type veth peer name rail1end mtu 9000 && "
                     "ip link set rail1 up && ip link set rail1end up && "
                     f"ip address add {SECOND_ADDRESS}/24 dev rail1 && "
                     "rdma link add rxe1 type rxe netdev rail1")


def build_folder():
    return sys.argv[2]


# -- one machine ------------------------------------------------------------------------------


def check_contract(machine, what, *words):
    program = f"{build_folder()}/bin/contract-rdma rdma {machine.address} {' '.join(words)}"
    result = machine.run(program, 400)
    expect(re.search(r"[1-9]\d* passed, 0 failed", result.text), what, result.text)
    expect(result.status == 0, "and says so")


def check_kernel(machine):
    complaints = machine.run("dmesg | grep -E 'BUG:|lockup|WARNING:'").text
    expect("BUG:" not in complaints and "lockup" not in complaints, "the kernel lives", complaints)


def story_contract():
    with Lab() as lab:
        lab.start()
        machine = lab.machines["a"]
        machine.check(ADD_SECOND_DEVICE)
        check_contract(machine, "the contract holds over two rails on two devices", "''", "4", SECOND_ADDRESS)
        check_kernel(machine)


def story_channels():
    with Lab() as lab:
        lab.start()
        machine = lab.machines["a"]
        for count in sys.argv[3:]:
            check_contract(machine, f"the contract holds with {count} channels", "''", count)
        check_kernel(machine)


def story_contract_linux_6_1():
    with Lab(kernel_version="6.1") as lab:
        lab.start()
        machine = lab.machines["a"]
        check_contract(machine, "the contract holds")
        check_kernel(machine)


EXACT_PLACES = ("scanned", "stage", "drain", "seal", "settle", "wait", "session_lost", "standby_commit",
                "standby_apply", "standby_drain", "standby_fenced")


def story_exact():
    """The checker of tests/exact is killed, and what is promoted compared."""
    rounds, *names = sys.argv[3:]
    places = " ".join(f"--place {name}" for name in names or EXACT_PLACES)
    with Lab() as lab:
        lab.start()
        machine = lab.machines["a"]
        result = machine.run(f"/usr/bin/python3 -B tests/exact/run --build {build_folder()} --jobs 1"
                             f" --rdma {machine.address} --rounds {rounds} {places}", 6 * 3600)
        logs = machine.run("tail -n 40 /tmp/tandem-test-*/*.log").text if result.status else ""
        print(result.text, logs, flush=True)
        expect(result.status == 0, "every image is the last committed epoch")
        check_kernel(machine)


# -- never stuck ------------------------------------------------------------------------------

RESOURCES = ("qp", "cm_id", "cq", "mr", "pd", "ctx")


def run_rounds(machine, program, *words):
    """A program of tests/stuck that says at the end what it found."""
    result = machine.run(f"{build_folder()}/tests/stuck_{program} {' '.join(words)}", 800)
    expect(result.status == 0, f"{program} {words[2:]}", result.text)
    print(result.text.strip(), flush=True)


def kernel_resources(machine):
    """What the kernel keeps for all of the machine's processes."""
    text = machine.check("rdma resource show")
    return {name: int(re.search(rf"\b{name} (\d+)", text)[1]) for name in RESOURCES}


def count_leaks(machine, rounds):
    command = (f"mkfifo /tmp/leaks && GLIBC_TUNABLES=glibc.malloc.tcache_count=0 exec "
               f"{build_folder()}/tests/stuck_leaks rdma {machine.address} {rounds} ask <> /tmp/leaks")
    process = machine.spawn(command)
    counted = {}
    for word in ("warm", "done"):
        until(lambda word=word: f"{word}:" in process.output.decode() or process.ended.is_set(),
              f"the sessions are {word}", 800)
        expect(not process.ended.is_set(), "none failed", process.output.decode())
        counted[word] = kernel_resources(machine)
        machine.check("echo on > /tmp/leaks")
    result = process.wait(60)
    expect(result.status == 0, f"{rounds} sessions leave nothing in the process", result.text)
    print(result.text.strip(), flush=True)
    expect(counted["warm"] == counted["done"], "nor in the kernel", counted)
    print(f"kernel resources: {counted['done']}", flush=True)


def run_stuck(kernel_version):
    rounds = sys.argv[3]
    with Lab(kernel_version=kernel_version) as lab:
        lab.start()
        machine = lab.machines["a"]
        for what in ("session", "channel"):
            run_rounds(machine, "late_write", "rdma", machine.address, what, rounds)
        run_rounds(machine, "yank", "rdma", machine.address, rounds)
        count_leaks(machine, rounds)
        check_kernel(machine)


def story_stuck():
    run_stuck(None)


def story_stuck_linux_6_1():
    run_stuck("6.1")


# -- two machines -----------------------------------------------------------------------------


class Peer:
    """rdma_peer in a machine, and what it said."""

    def __init__(self, machine, mode, address, *words):
        # exec: signals go to the program itself.
        self.process = machine.spawn(
            f"exec {build_folder()}/tests/rdma_peer {mode} {address} {PORT} {' '.join(words)}")
        self.seen = 0

    def hear(self, pattern, timeout_s=20):
        """The first line from here on that matches."""
        deadline = time.monotonic() + timeout_s
        while True:
            text = self.process.output.decode()
            match = re.compile(pattern + r".*$", re.MULTILINE).search(text, self.seen)
            if match and text.find("\n", match.start()) >= 0:
                self.seen = match.end()
                print(f"  {self.process.machine.name}: {match[0]}", flush=True)
                return match
            if time.monotonic() > deadline:
                raise SystemExit(f"FAILED: {self.process.machine.name} never said '{pattern}':\n{text}")
            time.sleep(0.02)

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        self.signal(signal.SIGTERM)
        expect(self.process.wait(20).status == 0, f"{self.process.machine.name}'s peer ends")


def join(lab):
    listener_machine, writer_machine = lab.machines["a"], lab.machines["b"]
    listener = Peer(listener_machine, "listen", listener_machine.address)
    listener.hear("listening")
    writer = Peer(writer_machine, "write", listener_machine.address)
    listener.hear("receiving")
    return listener, writer


def join_to_watch(lab):
    """Sessions that carry nothing but what is read of the beats."""
    listener_machine, writer_machine = lab.machines["a"], lab.machines["b"]
    listener = Peer(listener_machine, "listen", listener_machine.address, "beats")
    listener.hear("listening")
    writer = Peer(writer_machine, "write", listener_machine.address, "beats")
    writer.hear("beat advancing")
    listener.hear("beat advancing")
    return listener, writer


def expect_lost(peer, codes, limit_s=SOON_S):
    """The fault is what the caller did just now."""
    match = peer.hear(r"lost (\w+)", limit_s)
    expect(match[1] in codes, f"the cause is one of {codes}", match[0])


def try_yank(lab):
    print("the listening machine freezes: the writer is yanked")
    listener, writer = join(lab)
    lab.machines["a"].stop()
    writer.signal(signal.SIGUSR1)
    took_ms = int(writer.hear(r"back within (\d+)", SOON_S)[1])
    expect(took_ms < YANK_LIMIT_MS, f"everything is back within {YANK_LIMIT_MS} ms", took_ms)
    expect_lost(writer, ("YANKED",))
    writer.end()
    lab.machines["a"].cont()
    listener.end()


def try_fence_of_live_writer(lab):
    print("a writer that lives is fenced")
    listener, writer = join(lab)
    listener.signal(signal.SIGUSR1)
    listener.hear("fenced well")
    expect_lost(writer, ("PEER_LOST", "TIMEOUT"))
    listener.signal(signal.SIGUSR2)
    expect(listener.hear(r"late (\d+)")[1] == "0", "it changes no byte")
    writer.end()
    listener.end()


def try_stopped_process(lab):
    print("the writing process is stopped and its machine answers; then the machine freezes")
    listener, writer = join_to_watch(lab)
    writer.signal(signal.SIGSTOP)
    listener.hear("beat still")
    writer.signal(signal.SIGCONT)
    listener.hear("beat advancing")
    lab.machines["b"].stop()
    listener.hear("beat unknown")
    # What the device gave up on this queue pair, nothing else would have got through either.
    expect_lost(listener, ("TIMEOUT", "PEER_LOST"), PEER_TIMEOUT_S + SOON_S)
    lab.machines["b"].cont()
    expect_lost(writer, ("TIMEOUT", "PEER_LOST"), 60)
    writer.end()
    listener.end()


def story_two_machines():
    with Lab(machine_count=2) as lab:
        lab.start()
        for attempt in (try_stopped_process, try_yank, try_fence_of_live_writer):
            attempt(lab)
            until(lambda: "rdma_peer" not in lab.machines["a"].run("ps -e").text, "nothing is left")


if __name__ == "__main__":
    main({"contract": story_contract, "contract_linux_6_1": story_contract_linux_6_1, "channels": story_channels,
          "exact": story_exact,
          "stuck": story_stuck, "stuck_linux_6_1": story_stuck_linux_6_1,
          "two_machines": story_two_machines})
