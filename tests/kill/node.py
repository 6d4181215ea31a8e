"""One node: its programs as one process group, which is what dies when a host dies."""

import os
import signal
import subprocess

from kill import wait

START_SECONDS = 60
_FAULTS = ("Sanitizer:", "runtime error:", "assertion")


class Node:
    """The kernel ends the programs when this process ends, however that happens."""

    def __init__(self, layout, node_layout, programs):
        self.name = node_layout.name
        self.layout = node_layout
        self.program = layout.program
        self._configuration_path = layout.configuration_path
        self._programs = programs
        self._log_path = layout.log_path(self.name)
        self._processes = {}
        self._group = None
        self._launchers = {}

    def use_launcher(self, program, words):
        """The words of a command that becomes the program, from its next start on."""
        self._launchers[program] = words

    def use_configuration(self, path):
        """Of its own, from the next start on."""
        self._configuration_path = path

    def start(self, with_server, server_environment=None):
        """Controller and data plane; with_server: the protected program, too."""
        self.start_controller()
        self.start_data_plane()
        if with_server:
            self.start_server(server_environment)

    def start_controller(self, environment=None):
        self._spawn("tandem-failoverd", self._where(), environment)
        socket_path = self.layout.run_directory / "failoverd.sock"
        process = self._processes["tandem-failoverd"].pid
        wait.until(
            lambda: wait.listens(socket_path, process) or not self.is_running("tandem-failoverd"),
            START_SECONDS,
            f"controller of node {self.name}",
        )
        if not self.is_running("tandem-failoverd"):
            lines = self._log_path.read_text(errors="replace").splitlines() or ["it said nothing"]
            raise wait.Timeout(f"the controller of node {self.name} ended: {lines[-1]}")

    def start_data_plane(self, environment=None):
        self._spawn("tandemd", self._where(), environment)

    def start_server(self, environment=None):
        self._spawn(self.program.name, self.program.arguments(self.layout), environment)

    def _where(self):
        return ["--config", str(self._configuration_path), "--node", self.name]

    def _spawn(self, program, arguments, environment=None):
        self._forget_empty_group()
        path = self._programs / program
        if program == self.program.name:
            path = self.program.path(self._programs)
        command = ["setpriv", "--pdeathsig", "KILL", str(path), *arguments]
        if self.layout.namespace:
            command = ["ip", "netns", "exec", self.layout.namespace, *command]
        command = [*self._launchers.get(program, []), *command]
        with open(self._log_path, "ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
                process_group=self._group or 0,
            )
        self._group = self._group or process.pid
        self._processes[program] = process

    def _forget_empty_group(self):
        """Nobody can join a group whose last process has ended."""
        try:
            if self._group is not None:
                os.killpg(self._group, 0)
        except ProcessLookupError:
            self._group = None

    def is_running(self, program):
        process = self._processes.get(program)
        return process is not None and process.poll() is None

    def process_id(self, program):
        """Of a program that was started here and runs; None otherwise."""
        return self._processes[program].pid if self.is_running(program) else None

    def exit_status(self, program):
        return self._processes[program].poll()

    def exit_statuses(self):
        """Of what was started here last; None while it runs."""
        return {program: process.poll() for program, process in self._processes.items()}

    def has_ended(self):
        """Every program that was started is gone."""
        return all(process.poll() is not None for process in self._processes.values())

    def is_stopped(self):
        """The server is stopped by a signal."""
        process = self._processes[self.program.name]
        try:
            with open(f"/proc/{process.pid}/stat", encoding="ascii") as stat:
                return stat.read().rpartition(")")[2].split()[0] == "T"
        except OSError:
            return False

    def signal_all(self, number):
        """To the whole group, as SIGKILL, SIGSTOP or SIGCONT to a host's programs. The number of a
        group that has ended may be somebody else's by now, whose session is another one; one that
        was not waited for keeps it."""
        has_member = any(process.returncode is None for process in self._processes.values())
        if has_member or self._group in _groups_of_session():
            try:
                os.killpg(self._group, number)
            except ProcessLookupError:
                pass

    def signal_program(self, program, number):
        self._processes[program].send_signal(number)

    def kill(self):
        """Ends everything at once and reaps it; also the program that tandemd promoted, which is
        in the group or ends with its parent."""
        if self._group is None:
            return
        self.signal_all(signal.SIGKILL)
        for process in self._processes.values():
            process.wait()
        self._processes.clear()
        self._group = None


def _groups_of_session():
    """The process groups in this process's session."""
    session, found = os.getsid(0), set()
    for folder in os.listdir("/proc"):
        try:
            with open(f"/proc/{int(folder)}/stat", encoding="latin-1") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except (ValueError, OSError):
            continue
        if int(fields[3]) == session:
            found.add(int(fields[2]))
    return found


def crashes_of(nodes):
    """Programs of nodes, by their names, that ended themselves by a signal."""
    return [f"{program} of node {name} ended by signal {-status}"
            for name, node in nodes.items()
            for program, status in node.exit_statuses().items()
            if status is not None and status < 0
            and -status not in (signal.SIGKILL, signal.SIGTERM)]


def faults_in(log_path):
    """Lines in which a sanitizer or a failed assertion speaks."""
    try:
        lines = log_path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [f"{log_path.stem}: {line}" for line in lines if any(mark in line for mark in _FAULTS)]
