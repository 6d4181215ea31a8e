#!/usr/bin/env python3
"""tandemctl against a controller that it starts, against one that lies, and alone."""

import json
import os
import pty
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

PROGRAM, CONTROLLER, SOURCE = sys.argv[1:4]
sys.path.insert(0, f"{SOURCE}/tests")

from kill.layout import free_ports  # noqa: E402 (the path comes first)

NAMES = ("status", "events", "yank", "promote", "switchover", "force-primary", "maintenance",
         "check", "config", "doctor", "keygen", "resync", "fence-ack")


def run(*words):
    return subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=30)


def configuration(directory):
    first_port = free_ports()
    nodes = ",\n".join(
        f'{{ name = "{name}"; address = "127.0.0.1"; port = {first_port + 2 * i};'
        f' heartbeat = ( {{ address = "127.0.0.1"; port = {first_port + 2 * i + 1}; }} );'
        f' run_directory = "{directory}/{name}"; image_directory = "{directory}/{name}/i"; }}'
        for i, name in enumerate("ab")
    )
    return (
        f'cluster = "test"; nodes = (\n{nodes} );\n'
        f'pairs = ( {{ name = "kv"; nodes = ["a", "b"]; promote = {{ command = "true"; }};'
        f' arbiter = {{ type = "file"; path = "{directory}/arbiter"; }}; }} );\n'
    )


class Alone(unittest.TestCase):
    def test_help_has_every_command_and_examples(self):
        ended = run("--help")
        self.assertEqual(ended.returncode, 0)
        for name in NAMES:
            self.assertIn(f"  {name} ", ended.stdout)
            of_one = run(name, "--help")
            self.assertEqual(of_one.returncode, 0)
            self.assertIn(f"usage: tandemctl {name}", of_one.stdout)
            self.assertIn(f"  tandemctl {name}", of_one.stdout.split("examples:")[1])

    def test_wrong_use(self):
        for words, needle in (
            ((), "usage: tandemctl COMMAND"),
            (("statsu",), "did you mean 'status'?"),
            (("frobnicate",), "unknown command 'frobnicate'"),
            (("status", "--jsno"), "did you mean --json?"),
            (("status", "--pair"), "--pair needs a value"),
            (("status", "--generation", "1"), "status does not take --generation"),
            (("status", "kv"), "unexpected 'kv'"),
            (("yank",), "yank needs PAIR"),
            (("yank", "kv", "kw"), "unexpected 'kw'"),
            (("maintenance", "kv"), "maintenance needs on|off PAIR"),
            (("maintenance", "on"), "maintenance needs on|off PAIR"),
            (("promote", "kv", "--generation", "-1"), "a number needed"),
            (("promote", "kv", "--generation", "99999999999999999999"), "a number needed"),
            (("force-primary", "kv"), "say --i-accept-data-loss"),
            (("keygen",), "keygen needs FILE"),
            (("config", "--example", "--reference"), "--example or --reference, not both"),
        ):
            with self.subTest(words=words):
                ended = run(*words)
                self.assertEqual(ended.returncode, 2, ended.stderr)
                self.assertIn(needle, ended.stderr)
                self.assertEqual(ended.stdout, "")

    def qemu_args(self, *words):
        """Of a process that listens where a QEMU would, with these words."""
        listen = ("import signal, socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]);"
                  " s.listen(); print(flush=True); signal.pause()")
        with tempfile.TemporaryDirectory() as directory:
            line = [sys.executable, "-c", listen, f"{directory}/qmp", *words]
            with subprocess.Popen(line, stdout=subprocess.PIPE) as process:
                process.stdout.readline()
                ended = run("qemu-args", f"{directory}/qmp", "--json")
                process.kill()
        return line, ended.returncode, json.loads(ended.stdout)

    def test_a_command_line_is_told_whole_or_not_at_all(self):
        line, code, told = self.qemu_args("a 'b' $c", "", "\\", "-m", "1G")
        self.assertEqual((code, shlex.split(told["command"])), (0, line))
        for long in (["a b c d e f"] * 1000, ["'" * 3000], ["plain"] * 1000 + ["plain" * 1000]):
            line, code, told = self.qemu_args(*long)
            self.assertEqual((code, told["ok"]), (1, False))
            self.assertIn("has more than the 8191 characters", told["error"])

    def test_version(self):
        self.assertRegex(run("--version").stdout, r"^tandemctl \d+\.\d+\.\d+\n$")

    def test_config_prints_what_is_in_git(self):
        for option, path in (
            ("--example", "conf/tandem.conf.example"),
            ("--reference", "docs/configuration.md"),
        ):
            ended = run("config", option)
            self.assertEqual(ended.returncode, 0)
            self.assertEqual(ended.stdout, (Path(SOURCE) / path).read_text())

    def test_no_controller(self):
        with tempfile.TemporaryDirectory() as directory:
            ended = run("--run-dir", directory, "status")
            self.assertEqual(ended.returncode, 1)
            self.assertIn("no controller answers", ended.stderr)
            ended = run("--run-dir", directory, "status", "--json")
            self.assertEqual(ended.returncode, 1)
            answer = json.loads(ended.stdout)
            self.assertFalse(answer["ok"])
            self.assertEqual(answer["code"], "SYSTEM")
            self.assertEqual(run("--run-dir", "/" + "x" * 120, "status").returncode, 1)

    def test_no_configuration(self):
        ended = run("--config", "/nonexistent", "status")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("/nonexistent: No such file", ended.stderr)


class Check(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.path = Path(self.directory.name) / "tandem.conf"
        self.path.write_text(configuration(self.directory.name))

    def break_it(self):
        text = self.path.read_text().replace("cluster", "cluser").replace('"true"', "7")
        self.path.write_text(text)

    def test_a_good_file(self):
        ended = run("check", self.path)
        self.assertEqual(ended.returncode, 0, ended.stdout)
        self.assertTrue(ended.stdout.startswith(f"{self.path}: ok: cluster test, 2 nodes, 1 pair"))
        for needle in ("memory:", "memory lock:", "CAP_SYS_NICE", "note: pair kv: no key_file"):
            self.assertIn(needle, ended.stdout)

    def test_a_good_file_as_json(self):
        ended = run("check", self.path, "--json", "--node", "b")
        self.assertEqual(ended.returncode, 0)
        answer = json.loads(ended.stdout)
        self.assertTrue(answer["ok"])
        self.assertEqual(answer["mistakes"], [])
        self.assertEqual([node["is_this_one"] for node in answer["nodes"]], [False, True])

    def test_all_mistakes_with_their_lines(self):
        self.break_it()
        ended = run("check", self.path)
        self.assertEqual(ended.returncode, 2)
        lines = ended.stdout.splitlines()
        self.assertEqual(lines[-1], f"{self.path}: 3 mistakes")
        self.assertIn(f'{self.path}:1: cluser: unknown key; did you mean "cluster"?', lines)
        answer = json.loads(run("check", self.path, "--json").stdout)
        self.assertFalse(answer["ok"])
        self.assertEqual(
            {mistake["where"] for mistake in answer["mistakes"]},
            {"cluster", "cluser", "pairs[0].promote.command"},
        )

    def test_the_controller_says_the_same_at_start(self):
        self.break_it()
        told = [line.split(":", 1)[1] for line in run("check", self.path).stdout.splitlines()[:-1]]
        ended = subprocess.run(
            [CONTROLLER, "--config", self.path, "--node", "a"],
            capture_output=True, text=True, timeout=30, check=False,
        )
        self.assertEqual(ended.returncode, 1)
        for text in told:
            self.assertIn(text, ended.stderr)

    def test_what_cannot_be_read(self):
        ended = run("check", "/nonexistent")
        self.assertEqual(ended.returncode, 2)
        self.assertIn("/nonexistent: No such file", ended.stderr)
        ended = run("check", "/", "--json")
        self.assertEqual(ended.returncode, 2)
        self.assertIn("not a regular file", json.loads(ended.stdout)["error"])

    def test_an_unknown_node(self):
        ended = run("check", self.path, "--node", "z")
        self.assertEqual(ended.returncode, 2)
        self.assertIn('no node "z"; its nodes are: a, b', ended.stdout)

    def test_a_key_file_that_would_stop_the_controller(self):
        text = self.path.read_text().replace('name = "kv";', 'name = "kv"; key_file = "/none";')
        self.path.write_text(text)
        self.assertEqual(run("check", self.path).returncode, 0, "not on a node of its own")
        ended = run("check", self.path, "--node", "a")
        self.assertEqual(ended.returncode, 2)
        self.assertIn("key_file /none", ended.stdout)

    def findings(self, *words):
        ended = run("check", self.path, "--node", "a", "--json", *words)
        answer = json.loads(ended.stdout)
        found = {}
        for finding in answer["findings"]:
            found.setdefault(finding["topic"], []).append(finding)
        return ended.returncode, found

    def test_modes(self):
        self.path.chmod(0o644)
        self.assertEqual(self.findings(), (0, {}))
        self.path.chmod(0o666)
        status, found = self.findings()
        self.assertEqual((status, found["file"][0]["level"]), (1, "warning"))
        self.assertEqual(found["file"][0]["fix"], f"chmod 0644 {self.path}")
        self.path.chmod(0o644)
        run_directory = Path(self.directory.name) / "a"
        run_directory.mkdir()
        run_directory.chmod(0o777)
        status, found = self.findings()
        self.assertEqual((status, found["run dir"][0]["level"]), (2, "FAILURE"))
        self.assertIn("mode 0777 seen, 0700 needed", found["run dir"][0]["text"])
        ended = run("check", self.path, "--node", "a")
        self.assertEqual(ended.returncode, 2)
        self.assertIn(f"fix: chmod 0700 {run_directory}", ended.stdout)

    def test_live_while_nothing_runs(self):
        status, found = self.findings("--live")
        self.assertEqual(status, 1, found)
        self.assertIn("nobody listens on UDP port", found["heartbeat"][0]["text"])
        self.assertEqual(found["arbiter"][0]["level"], "warning", "its storage may not be mounted")
        self.assertEqual(found["peer"][0]["level"], "unknown", found["peer"])
        self.assertEqual(found["images"][0]["level"], "ok")
        self.assertNotIn("command", found)
        (Path(self.directory.name) / "arbiter").mkdir(mode=0o700)
        _, found = self.findings("--live")
        self.assertEqual([one["level"] for one in found["arbiter"]], ["ok"])
        self.assertEqual(list((Path(self.directory.name) / "arbiter").iterdir()), [])

    def test_live_needs_a_node(self):
        ended = run("check", self.path, "--live")
        self.assertEqual(ended.returncode, 2)
        self.assertIn("its nodes are: a, b", ended.stdout)

    def test_live_commands_and_addresses(self):
        text = self.path.read_text()
        for command, word in (
            ("exec /nonexistent/program --now", "/nonexistent/program"),
            ("A=1 B=2 exec $TANDEM_BIN_DIR/no-such-program", "$TANDEM_BIN_DIR/no-such-program"),
            (str(self.path), str(self.path)),
        ):
            with self.subTest(command=command):
                self.path.write_text(text.replace('command = "true"', f'command = "{command}"'))
                _, found = self.findings("--live")
                self.assertIn(f"finds no program '{word}'", found["command"][0]["text"])
        for command in ("exec $TANDEM_BIN_DIR/tandemd", "cd / && x", "( a )", "$PROGRAM x"):
            with self.subTest(command=command):
                self.path.write_text(text.replace('command = "true"', f'command = "{command}"'))
                self.assertNotIn("command", self.findings("--live")[1])
        for last in "78":
            text = text.replace('heartbeat = ( { address = "127.0.0.1"',
                                f'heartbeat = ( {{ address = "192.0.2.{last}"', 1)
        self.path.write_text(text.replace('name = "kv";', 'name = "kv"; insecure = true;'))
        status, found = self.findings("--live")
        self.assertEqual(status, 2)
        self.assertIn("cannot be bound", found["heartbeat"][0]["text"])

    def test_live_etcd_and_agents(self):
        text = self.path.read_text()
        arbiter = re.search(r"arbiter = \{[^}]*\};", text).group()
        port = free_ports()
        self.path.write_text(text.replace(
            arbiter, f'arbiter = {{ type = "etcd"; endpoints = ["http://127.0.0.1:{port}"]; }};'
        ))
        status, found = self.findings("--live")
        self.assertEqual((status, found["arbiter"][0]["level"]), (2, "FAILURE"))
        agent = Path(self.directory.name) / "agent"
        agent.write_text('#!/bin/sh\ngrep -q action=monitor || exit 7\ntest ! -e "$0.off" || '
                         '{ echo no device >&2; exit 1; }\n')
        agent.chmod(0o755)
        fence = f'fence = ( {{ agent = "{agent}"; parameters = "plug=1"; }} ); heartbeat ='
        path = f"{self.directory.name}/own"
        self.path.write_text(text.replace("heartbeat =", fence).replace(
            arbiter, f'arbiter = {{ type = "fence"; path = "{path}"; }};'
        ))
        _, found = self.findings("--live")
        self.assertEqual(found["fence"][0]["level"], "ok", found["fence"])
        Path(f"{agent}.off").touch()
        status, found = self.findings("--live")
        self.assertEqual((status, found["fence"][0]["level"]), (2, "FAILURE"))
        self.assertIn("exit status 1: no device", found["fence"][0]["text"])


class Keys(unittest.TestCase):
    def test_made_and_used(self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "kv.key"
            ended = run("keygen", path)
            self.assertEqual(ended.returncode, 0, ended.stderr)
            self.assertRegex(path.read_text(), r"^[0-9a-f]{32}\n$")
            self.assertEqual(path.stat().st_mode & 0o7777, 0o600)
            self.assertNotIn(path.read_text().strip(), ended.stdout)
            again = run("keygen", path)
            self.assertEqual(again.returncode, 1)
            self.assertIn("File exists", again.stderr)
            text = configuration(directory)
            conf = Path(directory) / "tandem.conf"
            conf.write_text(text.replace('name = "kv";', f'name = "kv"; key_file = "{path}";'))
            self.assertEqual(run("check", conf, "--node", "a").returncode, 0)
            path.chmod(0o644)
            ended = run("check", conf, "--node", "a")
            self.assertEqual(ended.returncode, 2)
            self.assertIn(f"mode 0644 seen, 0600 needed: chmod 600 {path}", ended.stdout)


class Config(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.path = Path(self.directory.name) / "tandem.conf"
        text = configuration(self.directory.name)
        self.path.write_text(text.replace('name = "kv";', 'name = "kv"; commit_timeout_ms = 1500;'))

    def test_values_with_their_origins(self):
        ended = run("config", self.path)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        lines = [line.split() for line in ended.stdout.splitlines() if line.startswith("  ")]
        self.assertIn(["commit_timeout_ms", "1.5", "s", f"{self.path}:4"], lines)
        self.assertIn(["merge_bytes_max", "64", "KiB", "default"], lines)
        self.assertIn(["poll_us", "100", "us", "default"], lines)
        self.assertIn(["heartbeat_interval_ms", "50", "ms", "heartbeat_profile,", "default"], lines)
        self.assertIn(["key_file", "none", "default"], lines)
        self.assertIn("pairs[0].arbiter", ended.stdout.splitlines())

    def test_json(self):
        answer = json.loads(run("--config", self.path, "config", "--json").stdout)
        self.assertTrue(answer["ok"])
        values = {value.pop("key"): value for value in answer["values"]}
        self.assertEqual(
            values["pairs[0].commit_timeout_ms"],
            {"value": 1500, "text": "1.5 s", "origin": "file", "line": 4},
        )
        self.assertEqual(
            values["pairs[0].insecure"],
            {"value": False, "text": "false", "origin": "default", "line": None},
        )

    def test_mistakes(self):
        self.path.write_text(self.path.read_text().replace("1500", "1"))
        ended = run("config", self.path)
        self.assertEqual(ended.returncode, 1)
        self.assertIn(f"{self.path}:4: pairs[0].commit_timeout_ms: 1 seen", ended.stderr)
        self.assertEqual(ended.stdout, "")
        answer = json.loads(run("config", self.path, "--json").stdout)
        self.assertFalse(answer["ok"])
        self.assertIn("not both", run("config", "--example", "--reference").stderr)


class Liar:
    """Answers one connection with fixed bytes, then closes."""

    def __init__(self, directory, answer):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(f"{directory}/admin.sock")
        self.socket.listen()
        self.request = b""
        self.thread = threading.Thread(target=self.serve, args=(answer,))
        self.thread.start()

    def serve(self, answer):
        connection, _ = self.socket.accept()
        with connection:
            self.request = connection.makefile("rb").readline()
            try:
                connection.sendall(answer)
            except OSError:
                pass  # it had read enough

    def close(self):
        self.thread.join(30)
        self.socket.close()


class Script(Liar):
    """Answers each connection with the next object, and with the last one from then on."""

    def __init__(self, directory, answers):
        self.requests = []
        super().__init__(directory, answers)

    def serve(self, answer):
        self.socket.settimeout(0.1)
        self.is_over = False
        index = 0
        while not self.is_over:
            try:
                connection, _ = self.socket.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(30)
                self.requests.append(json.loads(connection.makefile("rb").readline()))
                connection.sendall(json.dumps(answer[index]).encode() + b"\n")
            index = min(index + 1, len(answer) - 1)

    def close(self):
        self.is_over = True
        super().close()


class Lies(unittest.TestCase):
    def ask(self, answer, *words):
        with tempfile.TemporaryDirectory() as directory:
            liar = Liar(directory, answer)
            try:
                ended = run("--run-dir", directory, *words)
            finally:
                liar.close()
            return ended, json.loads(liar.request)

    def test_answers_that_are_none(self):
        for answer, needle in (
            (b"", "closed the connection"),
            (b'{"ok":true}', "closed the connection"),
            (b"\n", "no JSON object"),
            (b"[1]\n", "no JSON object"),
            (b"{\xff\xfe\x00\n", "no JSON object"),
            (b'{"ok":true\n', "no JSON object"),
            (b"[" * 100 + b"\n", "no JSON object"),
            (b"x" * (9 << 20), "more than 8388608 bytes"),
            (b'{"ok":false}\n', "refused without a reason"),
            (b'{"ok":false,"error":"because"}\n', "because"),
        ):
            with self.subTest(answer=answer[:40]):
                ended, _ = self.ask(answer, "status")
                self.assertEqual(ended.returncode, 1, ended.stderr)
                self.assertIn(needle, ended.stderr)

    def test_answers_with_holes(self):
        for answer in (
            b'{"ok":true}\n',
            b'{"ok":true,"pairs":7,"events":{}}\n',
            b'{"ok":true,"pairs":[null,3,{}],"events":[null,"x",{}]}\n',
            b'{"ok":true,"pairs":[{"peer":{"links":[4]},"alarms":[null,1],"stats":[]}]}\n',
            b'{"ok":true,"pairs":[{"channels":[null,3,{}],"data_plane":{"kind":"program"}}]}\n',
            b'{"ok":true,"pairs":[{"channels":7,"data_plane":{"attached":true,"kind":"program"},'
            b'"stats":{"pause_us":3},"last_failover":{}}],"events":[{"evidence":1}]}\n',
        ):
            for name in ("status", "events"):
                with self.subTest(answer=answer, name=name):
                    ended, _ = self.ask(answer, name)
                    self.assertEqual(ended.returncode, 0, ended.stderr)

    def test_the_exit_code_says_whether_all_are_protected(self):
        for pairs, expected in (
            ([{"protected": True}, {"protected": True}], 0),
            ([{"protected": True}, {"protected": False}], 1),
            ([{"protected": True}, {}], 2),
            ([], 2),
            (7, 2),
        ):
            answer = json.dumps({"ok": True, "pairs": pairs}).encode() + b"\n"
            for words in (("--exit-code",), ("--exit-code", "--json")):
                with self.subTest(pairs=pairs, words=words):
                    self.assertEqual(self.ask(answer, "status", *words)[0].returncode, expected)
        self.assertEqual(self.ask(b"", "status", "--exit-code")[0].returncode, 2)
        self.assertEqual(self.ask(b'{"ok":true,"pairs":[{}]}\n', "status")[0].returncode, 0)

    def test_requests(self):
        for words, expected in (
            (("status",), {"command": "status"}),
            (("status", "--pair", "kv"), {"command": "status", "pair": "kv"}),
            (("events",), {"command": "events"}),
            (("yank", "kv"), {"command": "yank", "pair": "kv"}),
            (("fence-ack", "kv"), {"command": "fence-ack", "pair": "kv"}),
            (("promote", "kv"), {"command": "promote", "pair": "kv"}),
            (
                ("promote", "kv", "--generation", "7"),
                {"command": "promote", "pair": "kv", "generation": 7},
            ),
            (
                ("force-primary", "kv", "--i-accept-data-loss"),
                {"command": "force-primary", "pair": "kv", "accept_data_loss": True},
            ),
            (
                ("force-primary", "kv", "--accept-data-loss"),
                {"command": "force-primary", "pair": "kv", "accept_data_loss": True},
            ),
            (
                ("maintenance", "off", "kv"),
                {"command": "maintenance", "pair": "kv", "on": False},
            ),
        ):
            with self.subTest(words=words):
                ended, request = self.ask(b'{"ok":true,"text":"very well"}\n', *words)
                self.assertEqual(ended.returncode, 0, ended.stderr)
                self.assertEqual(request, expected)
                if words[0] not in ("status", "events"):
                    self.assertEqual(ended.stdout, "very well\n")

    def follow(self, answers, *words):
        """Each connection gets the next answer, the last one again and again."""
        with tempfile.TemporaryDirectory() as directory:
            script = Script(directory, answers)
            try:
                return run("--run-dir", directory, *words), script
            finally:
                script.close()

    def pair(self, state, owner, generation=7, peer="SECONDARY", **more):
        pair = {"pair": "kv", "node": "a", "state": state, "owner": owner, "waiting_for": "x",
                "headline": f"HEAD {state}", "generation": generation, "peer": {"state": peer}}
        return {"ok": True, "pairs": [{**pair, **more}]}

    def test_switchover_waits_until_the_other_node_leads(self):
        answers = (
            self.pair("PRIMARY_PAIR", "a"), {"ok": True, "text": "handing over"},
            self.pair("GATED", "a"), self.pair("GATED", "a"),
            self.pair("HALTED", "b", 8, "TAKING_OVER"),
            self.pair("JOINING", "b", 8, "PRIMARY_SOLO"),
        )
        ended, script = self.follow(answers, "switchover", "kv")
        self.assertEqual(ended.returncode, 0, ended.stderr)
        lines = ended.stdout.splitlines()
        self.assertEqual(
            lines[:-1], ["handing over", "GATED: waiting for x", "HALTED: waiting for x"]
        )
        self.assertRegex(lines[-1], r"^b leads now \(generation 8\), after \d+ ms$")
        self.assertEqual([request["command"] for request in script.requests[:3]],
                         ["status", "switchover", "status"])
        ended, _ = self.follow(answers, "switchover", "kv", "--json")
        answer = json.loads(ended.stdout)
        self.assertEqual((answer["ok"], answer["generation"]), (True, 8))

    def test_switchover_says_why_not(self):
        begin = (self.pair("PRIMARY_PAIR", "a"), {"ok": True, "text": "handing over"})
        ended, _ = self.follow(
            (*begin, self.pair("GATED", "a"), self.pair("PRIMARY_PAIR", "a")), "switchover", "kv"
        )
        self.assertEqual(ended.returncode, 1)
        self.assertIn("the other node did not take over, this one goes on", ended.stderr)
        ended, _ = self.follow(
            (begin[0], {"ok": False, "error": "it is no pair"}), "switchover", "kv"
        )
        self.assertEqual((ended.returncode, ended.stderr), (1, "tandemctl: it is no pair\n"))
        ended, _ = self.follow(
            (*begin, self.pair("GATED", "a")), "switchover", "kv", "--timeout", "1"
        )
        self.assertEqual(ended.returncode, 1)
        self.assertIn("not done within 1 s, and still under way (GATED: waiting for x)",
                      ended.stderr)
        ended, script = self.follow(begin, "switchover", "kv", "--timeout", "0")
        self.assertEqual((ended.returncode, ended.stdout), (0, "handing over\n"))
        self.assertEqual(len(script.requests), 2)
        ended, _ = self.follow(({"ok": True, "pairs": 3},), "switchover", "kv")
        self.assertEqual(ended.returncode, 1)

    def test_resync_waits_until_the_copy_is_in_sync(self):
        ended, _ = self.follow(
            (self.pair("JOINING", "b"), {"ok": True, "text": "thrown away"},
             self.pair("JOINING", "b"), self.pair("SECONDARY", "b", 9)),
            "resync", "kv",
        )
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertRegex(ended.stdout.splitlines()[-1], r"^HEAD SECONDARY, after \d+ ms$")

    def test_events_follow(self):
        def answer(*numbers):
            return {"ok": True, "events": [{"number": n, "reason": f"reason {n}"} for n in numbers]}

        with tempfile.TemporaryDirectory() as directory:
            script = Script(directory, (answer(1, 2), answer(1, 2, 3), answer(1)))
            follow = subprocess.Popen(
                [PROGRAM, "--run-dir", directory, "events", "--follow", "--json"],
                stdout=subprocess.PIPE,
            )
            try:
                read = [json.loads(follow.stdout.readline())["number"] for _ in range(4)]
                self.assertEqual(read, [1, 2, 3, 1], "a restarted controller begins anew")
            finally:
                follow.stdout.close()
                status = follow.wait(30)
                script.close()
        self.assertEqual(status, 0)

    def test_events_for_people(self):
        evidence = {
            "generation": 7, "silent_ms": 305.25, "suspect_after_ms": 300.0,
            "links_silent_ms": [305.25, None], "session": False, "session_silent_ms": 312.0,
            "in_state_ms": 98765.4, "peer_process": "hung", "peer_counter_moved_ms": 303.5,
            "register": {"generation": 7, "owner": "a", "mode": "PAIR"},
            "peer": {"state": "PRIMARY_PAIR", "program": "alive", "standby": "absent",
                     "generation": 7, "maintenance": False},
        }
        event = {"number": 1, "at": "then", "pair": "kv", "from": "SECONDARY", "to": "SECONDARY",
                 "reason": "the primary is lost: asking to take over", "detail": "",
                 "alarm": None, "evidence": evidence}
        ended, _ = self.ask(json.dumps({"ok": True, "events": [event]}).encode() + b"\n", "events")
        self.assertEqual(ended.stdout.splitlines(), [
            "then kv SECONDARY: the primary is lost: asking to take over; generation 7, "
            "heartbeats silent for 305.2 ms",
            "    links:    0 heard 305.2 ms ago, 1 heard never; suspect after 300.0 ms",
            "    session:  down, peer heard by it 312.0 ms ago, process hung: its host answers, "
            "its counter has not moved for 303.5 ms; 98.8 s in the state before",
            "    register: a PAIR, generation 7",
            "    peer:     said PRIMARY_PAIR, program alive, standby absent, generation 7",
        ])

    def test_status_for_people(self):
        pair = {
            "pair": "kv", "node": "a", "state": "PRIMARY_PAIR",
            "headline": "PROTECTED: a primary (generation 7), b in sync, 3 ms behind",
            "waiting_for": "nothing: the pair is in sync", "unblock": "tandemctl frob kv",
            "in_state_ms": 12345.6, "alarms": ["a heartbeat link is silent"],
            "self_fence": {"armed": False, "why": "output is gated"},
            "peer": {"node": "b", "state": "SECONDARY", "heard_ms": 3.25,
                     "process": "lives", "counter_moved_ms": 7.5,
                     "links": [{"link": 0, "heard_ms": None,
                                "gaps": {"count": 7, "p99_ms": 1.5, "max_ms": 20.25},
                                "address": "10.0.0.2", "port": 7401, "up": False}]},
            "data_plane": {"attached": True, "kind": "program", "session": True},
            "stats": {"transport": "tcp", "channel_count": 2},
            "channels": [
                {"channel": 0, "state": "up", "rail": 0, "bytes": 3 << 29, "in_flight": 7,
                 "oldest_pending_ms": 12.5, "times_lost": 0, "first_error": None},
                {"channel": 1, "state": "lost", "rail": 1, "bytes": 0, "in_flight": 0,
                 "oldest_pending_ms": None, "times_lost": 2, "first_error": "reset by the peer"},
            ],
            "guest": {"kept": True, "memory": "stream", "gates": [
                {"way": "user", "outside": "vm1", "held_bytes": 3 << 19, "room_bytes": 64 << 20,
                 "dropped_count": 7, "lost_count": 0},
                {"way": "plug", "outside": "vm2", "held_bytes": 0, "room_bytes": 64 << 20,
                 "dropped_count": 0, "lost_count": 2}]},
            "last_failover": {"at": "then", "detect_ms": 1.0, "decide_ms": None},
        }
        answer = {"ok": True, "realtime": False, "realtime_refusal": "no right to it",
                  "memory_locked": True, "memory_lock_refusal": "", "pairs": [pair]}
        ended, _ = self.ask(json.dumps(answer).encode() + b"\n", "status")
        lines = ended.stdout.splitlines()
        self.assertEqual(lines[0], pair["headline"])
        self.assertEqual(lines[1], "  pair:        kv on node a: PRIMARY_PAIR")
        self.assertIn("nothing: the pair is in sync (in this state for 12.3 s)", lines[2])
        self.assertEqual(lines[3], "  unblock:     tandemctl frob kv")
        self.assertEqual(lines[4], "  ALARM:       a heartbeat link is silent")
        self.assertEqual(lines[5], "  peer:        node b is SECONDARY, heard 3.2 ms ago, process lives")
        self.assertEqual(
            lines[6],
            "  link 0       10.0.0.2 port 7401 DOWN, heard never; gaps p99 1.5 ms, max 20.2 ms",
        )
        self.assertIn("  self-fence:  not armed: output is gated", lines)
        self.assertIn("  real-time:   NO: no right to it", lines)
        self.assertIn("  locked:      yes", lines)
        self.assertIn("  channel 0    up, rail 0, 1.5 GiB, 7 in flight, the oldest for 12.5 ms", lines)
        self.assertIn(
            "  channel 1    lost, rail 1, 0 bytes, 0 in flight, lost 2 times;"
            " first error: reset by the peer", lines,
        )
        self.assertIn("               gate user:vm1 holds 1.5 MiB, 2 % of 64.0 MiB;"
                      " 7 frames were dropped because it was full", lines)
        self.assertIn("               gate plug:vm2 holds 0 bytes, 0 % of 64.0 MiB; 0 frames were"
                      " dropped because it was full, and the network did not take 2", lines)
        self.assertIn("detect 1.0 ms, decide never", lines[-1])

    def test_who_has_the_network_of_a_guest_that_was_let_go_is_shown(self):
        pair = {"pair": "vm1", "guest": {"process_id": 77, "forwards_for": 66, "kept": False, "gates": [
            {"way": "user", "outside": "vm1", "open": True, "held_bytes": 7, "room_bytes": 64 << 20,
             "dropped_count": 0, "lost_count": 2}]}}
        ended, _ = self.ask(json.dumps({"ok": True, "pairs": [pair]}).encode() + b"\n", "status")
        lines = ended.stdout.splitlines()
        self.assertIn("  guest:       NOT PROTECTED: QEMU, process 66; its network goes through process 77,"
                      " which ends with it", lines)
        self.assertIn("               gate user:vm1 is open and holds nothing back; 0 frames were dropped"
                      " because it was full, and the network did not take 2", lines)

    def copy_line(self, **copy):
        pair = {"pair": "kv", "state": "PRIMARY_SOLO", "copy": copy}
        answer = {"ok": True, "pairs": [pair]}
        ended, _ = self.ask(json.dumps(answer).encode() + b"\n", "status")
        lines = [line for line in ended.stdout.splitlines() if "%" in line]
        self.assertEqual(len(lines), 1, ended.stdout)
        return lines[0]

    def test_copy_for_people(self):
        line = self.copy_line(
            stage="copy", percent=37, bytes_total=6 << 30, bytes_done=2_384_000_000,
            bytes_equal=0, bytes_per_s=1_100_000_000, left_ms=3690.5,
        )
        self.assertEqual(
            line, "  copy:        37 %, 2.2 GiB of 6.0 GiB at 1.0 GiB/s, 3690.5 ms left"
        )
        line = self.copy_line(
            stage="compare", percent=0, bytes_total=1 << 20, bytes_done=0, bytes_equal=0,
            bytes_per_s=0, left_ms=None,
        )
        self.assertEqual(line, "  comparing:   0 %, 0 bytes of 1.0 MiB")
        line = self.copy_line(
            stage="copy", percent=99, bytes_total=1000, bytes_done=1000, bytes_equal=5 << 20,
            bytes_per_s=0, left_ms=0,
        )
        self.assertEqual(
            line, "  copy:        99 %, 1000 bytes of 1000 bytes at 0 bytes/s, 0.0 ms left;"
                  " 5.0 MiB were there already"
        )


class Live(unittest.TestCase):
    """One controller of a pair whose other node is off."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.path = Path(self.directory.name) / "tandem.conf"
        self.path.write_text(configuration(self.directory.name))
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(f"{self.directory.name}/notify")
        self.manager.settimeout(30)
        self.controller = subprocess.Popen(
            [CONTROLLER, "--config", self.path, "--node", "a"],
            stderr=subprocess.PIPE, text=True,
            env={**os.environ, "NOTIFY_SOCKET": f"{self.directory.name}/notify"},
        )
        self.addCleanup(self.end)
        self.assertIn(b"READY=1\nSTATUS=node a watches 1 pair", self.manager.recv(256))

    def end(self):
        if self.controller.poll() is None:
            self.controller.kill()
        self.controller.wait()
        self.controller.stderr.close()

    def ask(self, *words):
        return run("--config", self.path, "--node", "a", *words)

    def test_status_and_events(self):
        # What it says first, until it has read the register, is another headline.
        watch = self.watch()
        while " no node has led yet" not in self.line_of(watch):
            pass
        answer = json.loads(self.ask("status", "--json").stdout)
        self.assertTrue(answer["ok"])
        self.assertEqual(answer["node"], "a")
        self.assertEqual(answer["pairs"][0]["pair"], "kv")
        self.assertEqual(self.ask("status").stdout.splitlines()[0], answer["pairs"][0]["headline"])
        self.assertRegex(answer["pairs"][0]["headline"], "^WAITING: ")
        self.assertEqual(answer["pairs"][0]["protection"], "WAITING")
        self.assertFalse(answer["pairs"][0]["self_fence"]["armed"])
        self.assertEqual(self.ask("status", "--exit-code").returncode, 1)
        self.assertEqual(self.ask("status", "--exit-code", "--pair", "nope").returncode, 2)
        self.assertEqual(self.ask("status", "--pair", "nope").returncode, 1)
        self.assertTrue(json.loads(self.ask("events", "--json").stdout)["ok"])
        self.assertEqual(self.ask("events").returncode, 0)

    def test_yank_without_a_session_is_refused(self):
        ended = self.ask("yank", "kv")
        self.assertEqual(ended.returncode, 1)
        self.assertNotEqual(ended.stderr, "")

    def test_watch_goes_on_and_ends_with_its_reader(self):
        watch = subprocess.Popen(
            [PROGRAM, "--config", self.path, "--node", "a", "status", "--watch", "--json"],
            stdout=subprocess.PIPE,
        )
        for _ in range(2):
            self.assertTrue(select.select([watch.stdout], [], [], 30)[0])
            self.assertTrue(json.loads(watch.stdout.readline())["ok"])
        watch.stdout.close()
        self.assertEqual(watch.wait(30), 0)

    def watch(self, *words):
        watch = subprocess.Popen(
            [PROGRAM, "--config", self.path, "--node", "a", "status", "--watch", *words],
            stdout=subprocess.PIPE,
        )
        self.addCleanup(watch.stdout.close)
        self.addCleanup(watch.wait, 30)
        self.addCleanup(watch.kill)
        return watch

    def line_of(self, watch):
        self.assertTrue(select.select([watch.stdout], [], [], 30)[0], "no line came")
        return watch.stdout.readline().decode()

    def test_watch_says_a_line_a_change_and_ends_on_a_signal(self):
        watch = self.watch("--exit-code")
        stamp = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
        while " no node has led yet" not in (line := self.line_of(watch)):
            self.assertRegex(line, stamp + "kv on node a: WAITING: ")
        self.end()
        self.assertRegex(self.line_of(watch), stamp + "tandemctl: no controller answers")
        watch.send_signal(signal.SIGINT)
        self.assertEqual(watch.wait(30), 2, "the last state is the exit status")

    def test_watch_ends_with_its_reader_though_nothing_changes(self):
        watch = self.watch()
        self.line_of(watch)
        watch.stdout.close()
        self.assertEqual(watch.wait(30), 0)

    def test_watch_redraws_a_terminal(self):
        main, other = pty.openpty()
        self.addCleanup(os.close, main)
        watch = subprocess.Popen(
            [PROGRAM, "--config", self.path, "--node", "a", "status", "--watch"], stdout=other
        )
        os.close(other)
        self.addCleanup(watch.wait, 30)
        self.addCleanup(watch.kill)
        seen = b""
        while seen.count(b"\x1b[H\x1b[2J") < 2:
            self.assertTrue(select.select([main], [], [], 30)[0], seen)
            seen += os.read(main, 65536)
        watch.send_signal(signal.SIGINT)
        self.assertEqual(watch.wait(30), 0)

    def test_a_second_controller_is_refused(self):
        ended = subprocess.run(
            [CONTROLLER, "--config", self.path, "--node", "a"],
            capture_output=True, text=True, timeout=30, check=False,
        )
        self.assertEqual(ended.returncode, 1)
        self.assertEqual(self.ask("status").returncode, 0, "the first one goes on")

    def test_ends_cleanly(self):
        self.controller.send_signal(signal.SIGTERM)
        self.assertEqual(self.controller.wait(30), 0)
        self.assertEqual(self.manager.recv(256), b"STOPPING=1")
        log = self.controller.stderr.read()
        self.assertIn("node a of cluster test: 1 pair, 1 heartbeat link; real-time: ", log)
        self.assertIn("ending on signal 15", log)


class Controller(unittest.TestCase):
    def run_it(self, *words):
        return subprocess.run(
            [CONTROLLER, *map(str, words)], capture_output=True, text=True, timeout=30, check=False
        )

    def test_check_and_wrong_use(self):
        path = f"{SOURCE}/conf/quickstart.conf"
        ended = self.run_it("--config", path, "--node", "b", "--check")
        self.assertEqual((ended.returncode, ended.stdout), (0, f"{path}: node b: ok\n"))
        self.assertEqual(self.run_it("--config", path, "--node", "z", "--check").returncode, 1)
        self.assertEqual(self.run_it("--frob").returncode, 2)
        self.assertEqual(self.run_it("word").returncode, 2)
        ended = self.run_it("--help")
        self.assertEqual(ended.returncode, 0)
        self.assertIn("examples:", ended.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
