"""The lab itself: soft-RoCE works in it, and its faults are the faults they are named after."""

import os
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

from device_test import CHECKOUT, expect, main, until

from lab import Lab, LabError, LabTimeout, LabUnavailable, qemu

sys.path.insert(0, str(CHECKOUT / "tests"))

from kill.layout import free_ports  # noqa: E402 (the path above comes first)

TOOL = CHECKOUT / "tools/softroce-lab"
PING_COUNT = 5
RPING_SERVER = f"rping -s -a 10.77.0.1 -C {PING_COUNT} -v"
RPING_CLIENT = f"rping -c -a 10.77.0.1 -C {PING_COUNT} -v"
# Ends with 0 when machine a answers on the link between the machines.
REACH_A = ("/usr/bin/python3 -c \"import socket;"
           "socket.create_connection(('10.77.0.1', 8000), timeout=3)\" 2>/dev/null")
DEVICE_INFO = "ibv_devinfo -d rxe0"
SENT_PACKETS = "cat /sys/class/infiniband/rxe0/ports/1/hw_counters/sent_pkts"


def run_tool(*arguments):
    done = subprocess.run([TOOL, *arguments], capture_output=True, text=True, check=False)
    if done.returncode in (77, 125):
        raise LabUnavailable(done.stderr) if done.returncode == 77 else SystemExit(done.stderr)
    return done


LOOK = 'echo "$WORD"; pwd; uname -r; ulimit -l; ibv_devinfo -d rxe0'


def check_look(lines):
    """What LOOK has said; the kernel's version."""
    expect(lines[:2] == ["two words", str(CHECKOUT)], "environment and folder are as asked", lines)
    expect(lines[3] == "unlimited", "memory may be locked", lines)
    text = "\n".join(lines)
    expect("PORT_ACTIVE" in text, "rxe0 is active", text)
    expect("active_mtu:\t\t4096" in text, "the path takes 4096 bytes", text)
    return tuple(int(number) for number in lines[2].split("-")[0].split("+")[0].split(".")[:2])


def story_one_linux_6_1():
    done = run_tool("--kernel", "6.1", "--timeout", "200", "--env", "WORD=two words", "--", f"{LOOK}; exit 7")
    expect(done.returncode == 7, "the command's exit status comes back", done)
    expect(check_look(done.stdout.splitlines()) == (6, 1), "--kernel 6.1 boots 6.1")


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return file.read().split()


def story_command():
    done = run_tool("--two", "--timeout", "200", "--env", "WORD=two words", "--", LOOK, "---", "hostname; exit 5")
    expect(done.returncode == 5, "of two commands the failed one's status comes back", done)
    lines = {name: [line[3:] for line in done.stdout.splitlines() if line.startswith(f"{name}| ")] for name in "ab"}
    expect(lines["b"] == ["b"], "lines carry the machine's name", done.stdout)
    version = check_look(lines["a"])
    expect(version >= (6, 7), "the default kernel has PAGEMAP_SCAN", version)


def end_tool_by(number):
    """Ends a tool whose machines boot; returns its status and the machines' process ids."""
    command = [TOOL, "--two", "--", "sleep 300", "---", "sleep 300"]
    with subprocess.Popen(command) as tool:
        until(lambda: len(children_of(tool.pid)) == 2, "two machines boot")
        machines = children_of(tool.pid)
        tool.send_signal(number)
    return tool.returncode, machines


def any_runs(pids):
    return any(os.path.exists(f"/proc/{pid}") for pid in pids)


def story_end():
    _, machines = end_tool_by(signal.SIGKILL)
    until(lambda: not any_runs(machines), "no machine outlives a killed tool")
    status, machines = end_tool_by(signal.SIGTERM)
    expect(status == 128 + signal.SIGTERM, "an ended tool says so", status)
    expect(not any_runs(machines), "and leaves no machine")


def read_page(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/name", timeout=5) as page:
            return page.read().decode()
    except (OSError, urllib.error.URLError):
        return None


def serve_page(machine):
    machine.check("mkdir /tmp/page && hostname > /tmp/page/name")
    machine.spawn("exec /usr/bin/python3 -m http.server 8000", directory="/tmp/page")


def check_rdma(a, b):
    server = a.spawn(RPING_SERVER)
    until(lambda: b.run(RPING_CLIENT, 60).status == 0, "rping from b to a")
    text = server.wait(30).text
    expect(text.count("server ping data") == PING_COUNT, "every ping arrived", text)


def check_host_access(lab, ports, share):
    for name, port in ports.items():
        expect(until(lambda port=port: read_page(port), f"the host reaches {name}") == f"{name}\n",
               f"port {port} leads to {name}")
    for name, machine in lab.machines.items():
        machine.check(f"hostname > /mnt/share/{name}")
        with open(f"{share}/{name}", encoding="ascii") as file:
            expect(file.read() == f"{name}\n", f"{name} writes to the shared folder")


def check_command_timeout(a):
    try:
        a.run("echo begun; exec sleep 300", 8)
        expect(False, "a command past its time raises")
    except LabTimeout as error:
        expect(error.output == b"begun\n", "a command past its time raises", error.output)
    until(lambda: a.run("pgrep -x sleep").status == 1, "and is ended")
    expect(a.run("sleep 300 & echo on").text == "on\n", "a command may leave a process behind")
    expect(a.run("pgrep -x sleep").status == 0, "which stays")


def check_link(a, b):
    until(lambda: b.run(REACH_A).status == 0, "b reaches a")
    a.set_link(False)
    until(lambda: "PORT_DOWN" in a.check(DEVICE_INFO), "a pulled cable takes the port down")
    expect("PORT_ACTIVE" in b.check(DEVICE_INFO), "at that end only")
    expect(b.run(REACH_A).status != 0, "and b does not reach a")
    a.set_link(True)
    until(lambda: "PORT_ACTIVE" in a.check(DEVICE_INFO), "plugged in, the port is active")
    until(lambda: b.run(REACH_A).status == 0, "and b reaches a")


def check_freeze(a, b, ports):
    """The frozen machine's peer is in mid-stream: it has to be able to end its queue pair."""
    server = a.spawn("exec ib_write_bw -R -D 120")
    streams = []

    def stream_runs():
        if not streams or streams[-1].ended.is_set():
            streams.append(b.spawn("exec ib_write_bw -R -D 120 10.77.0.1"))
        return int(b.check(SENT_PACKETS)) > 5000

    until(stream_runs, "b streams to a", 60)
    a.stop()
    is_silent = b.run(REACH_A).status != 0 and read_page(ports["a"]) is None
    expect(is_silent, "a frozen machine answers nobody")
    streams[-1].send_signal(signal.SIGKILL)
    status = streams[-1].wait(60).status
    expect(status == 128 + signal.SIGKILL, "its peer's queue pair can be destroyed", status)
    try:
        a.run("true", 2)
        expect(False, "a frozen machine runs nothing")
    except LabTimeout:
        expect(True, "a frozen machine runs nothing")
    a.cont()
    until(lambda: b.run(REACH_A).status == 0, "resumed, it answers")
    server.send_signal(signal.SIGKILL)
    server.wait(60)


def check_power_loss(a, b):
    a.kill()
    expect(not a.is_running() and b.run(REACH_A).status != 0, "a machine without power is gone")
    try:
        a.run("true", 2)
        expect(False, "and runs nothing")
    except LabError:
        expect(True, "and runs nothing")
    a.start()
    a.wait_ready()
    expect(a.run("test -e /tmp/page").status == 1, "it comes back as a new machine")
    check_rdma(a, b)


class BrokenFirstBoot:
    """The lab's `say`: its kernels find no first program, until it says that one panicked."""

    def __init__(self):
        self.options = qemu.KERNEL_OPTIONS
        self.panic_count = 0
        qemu.KERNEL_OPTIONS += " rdinit=/missing"

    def __call__(self, text):
        print(f"lab: {text}", flush=True)
        if "panicked" in text:
            self.panic_count += 1
            qemu.KERNEL_OPTIONS = self.options


def story_two():
    first_port = free_ports()
    ports = {"a": first_port, "b": first_port + 1}
    forwards = [(name, port, 8000) for name, port in ports.items()]
    with tempfile.TemporaryDirectory() as share, \
            Lab(machine_count=2, forwards=forwards, share=share, say=BrokenFirstBoot()) as lab:
        lab.start()
        expect(lab.say.panic_count, "a kernel that panics while it boots is told and booted anew")
        a, b = lab.machines.values()
        for machine in (a, b):
            serve_page(machine)
        check_rdma(a, b)
        check_host_access(lab, ports, share)
        check_command_timeout(a)
        check_link(a, b)
        check_freeze(a, b, ports)
        check_power_loss(a, b)
        pids = [machine.qemu.pid for machine in (a, b)]
        lab.power_off()
    expect(not any_runs(pids), "no machine is left")


main({"one_linux_6_1": story_one_linux_6_1, "command": story_command,
      "end": story_end, "two": story_two})
