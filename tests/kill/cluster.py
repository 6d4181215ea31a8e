"""Two nodes of a Pacemaker cluster on this machine, each in namespaces of its own.

The cluster talks over one link, Tandem over another one.
"""

import json
import shutil
import socket
import subprocess
import threading
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from kill import wait
from kill.layout import PAIR
from kill.pair import TAKE_OVER_SECONDS
from kill.separated import SeparatedPair

HERE = Path(__file__).resolve().parent
TOKEN_MS = 1000
YIELD_SECONDS = 5
UP_SECONDS = 60
COMMAND_SECONDS = 30
REGISTER = "/var/lib/tandem"
_PACEMAKER_DIRECTORIES = [f"pacemaker/{name}" for name in ("cib", "pengine", "blackbox", "cores")]

_PROGRAMS = ("corosync", "pacemakerd", "crm_mon", "cibadmin", "crm_resource", "crm_attribute",
             "ocf-tester", "jq", "xmllint", "unshare", "nsenter", "ip")

_COROSYNC = """\
totem {{
  version: 2
  cluster_name: tandem-test
  token: {token}
  crypto_cipher: none
  crypto_hash: none
}}
nodelist {{
{nodes}}}
quorum {{
  provider: corosync_votequorum
  two_node: 1
}}
logging {{
  to_syslog: no
  to_stderr: yes
}}
"""
_COROSYNC_NODE = """\
  node {{
    ring0_addr: {address}
    name: {name}
    nodeid: {number}
  }}
"""

_CIB = """\
<cib validate-with="pacemaker-3.7" epoch="1" num_updates="0" admin_epoch="0">
 <configuration>
  <crm_config>
   <cluster_property_set id="options">
    <nvpair id="options-stonith" name="stonith-enabled" value="true"/>
    <nvpair id="options-deadtime" name="dc-deadtime" value="2s"/>
   </cluster_property_set>
  </crm_config>
  <nodes/>
  <resources>
   <primitive id="switch" class="stonith" type="fence_tandem_test">
    <instance_attributes id="switch-params">
     <nvpair id="switch-params-switch" name="switch" value="{switch}"/>
     <nvpair id="switch-params-hosts" name="pcmk_host_list" value="a b"/>
     <nvpair id="switch-params-reboot" name="pcmk_reboot_action" value="off"/>
    </instance_attributes>
   </primitive>
{resources}  </resources>
  <constraints/>
 </configuration>
 <status/>
</cib>
"""
_PAIR_RESOURCE = """\
   <clone id="kv-clone">
    <meta_attributes id="kv-clone-meta">
     <nvpair id="kv-clone-promotable" name="promotable" value="true"/>
     <nvpair id="kv-clone-notify" name="notify" value="true"/>
    </meta_attributes>
    <primitive id="kv" class="ocf" provider="tandem" type="pair">
     <instance_attributes id="kv-params">
{parameters}     </instance_attributes>
     <operations>
      <op id="kv-unpromoted" name="monitor" interval="2s" timeout="20s" role="Unpromoted"/>
      <op id="kv-promoted" name="monitor" interval="1s" timeout="20s" role="Promoted"/>
      <op id="kv-start" name="start" interval="0" timeout="30s"/>
      <op id="kv-stop" name="stop" interval="0" timeout="30s"/>
      <op id="kv-promote" name="promote" interval="0" timeout="30s"/>
      <op id="kv-demote" name="demote" interval="0" timeout="30s"/>
     </operations>
    </primitive>
   </clone>
"""


def missing_programs():
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    return [name for name in _PROGRAMS if not shutil.which(name, path=path)]


class Host:
    """A node's namespaces. Takes the place of a kill.node.Node."""

    def __init__(self, name, namespace, settings, log_path):
        self.name = name
        self._namespace = namespace
        self._settings = {**settings, "name": name, "log": str(log_path)}
        self._log_path = log_path
        self._outer = None
        self._lock = threading.Lock()

    def switch_on(self):
        """By the main thread: the node ends with the thread that has made it."""
        with open(self._log_path, "ab") as log:
            self._outer = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self._namespace,
                 "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
                 "--mount-proc", "python3", "-B", str(HERE / "cluster_host.py"),
                 json.dumps(self._settings)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            )

    def wait_up(self):
        """Until its daemons run."""
        if self._outer.stdout.readline() != b"up\n":
            lines = self._log_path.read_text(errors="replace").splitlines()[-3:]
            raise wait.Timeout(f"node {self.name} did not come up: {' / '.join(lines)}")

    @property
    def _first_process(self):
        """As it is called from here."""
        outer = self._outer.pid
        return Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0]

    def command(self, *arguments):
        """What runs a command on the node."""
        return ["nsenter", "--target", self._first_process, "--mount", "--pid", "--uts", "--ipc",
                "--net", "--", *arguments]

    def run(self, *arguments, seconds=COMMAND_SECONDS):
        try:
            return subprocess.run(self.command(*arguments), capture_output=True, text=True,
                                  timeout=seconds, check=False)
        except subprocess.TimeoutExpired as error:
            what = f"{arguments[0]} on node {self.name}"
            raise wait.Timeout(f"{what}: not within {seconds} s") from error

    @property
    def is_on(self):
        return self._outer is not None and self._outer.poll() is None

    def kill(self):
        """Ends every process of the node at once; returns when they are gone."""
        with self._lock:
            if self._outer is not None:
                self._outer.kill()
                self._outer.wait()
                self._outer.stdout.close()
                self._outer = None


class Switch(threading.Thread):
    """Ends nodes for those who ask its socket, as a power switch does."""

    def __init__(self, path, hosts):
        super().__init__(daemon=True)
        self.path = path
        self.fenced = []  # names, in order
        self._hosts = hosts
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen()

    def run(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.sendall(self._answer(connection.recv(200).decode()).encode() + b"\n")

    def end(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.join()

    def _answer(self, request):
        action, _, name = request.strip().partition(" ")
        if action in ("monitor", "list"):
            return "done"
        host = self._hosts.get(name)
        if host is None:
            return "unknown"
        if action == "status":
            return "on" if host.is_on else "off"
        host.kill()
        self.fenced.append(name)
        return "done"


class ClusterPair(SeparatedPair):
    """Tandem's pair under Pacemaker; with_resource: Pacemaker manages it from the start."""

    end_words = "everything of node a"

    def __init__(self, programs, provider, with_resource=True):
        super().__init__(programs, provider, arbiter_type="external")
        self.layout.arbiter = Path(REGISTER)
        self.layout.write()
        self._with_resource = with_resource
        self._switch_path = self.layout.directory / "switch"
        self.hosts = {name: self._host(name) for name in "ab"}
        self.a, self.b = self.hosts["a"], self.hosts["b"]
        self.switch = Switch(self._switch_path, self.hosts)

    def __enter__(self):
        super().__enter__()
        self.switch.start()
        return self

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self.switch.end()

    def start(self, server_environment=None):
        """Both nodes at once, as when the power comes back."""
        for host in self.hosts.values():
            host.switch_on()
        for host in self.hosts.values():
            host.wait_up()

    def wait_pair(self, timeout_seconds=UP_SECONDS):
        """Until Pacemaker has promoted a node and it is protected; its Stats."""

        def protected():
            stats = self.stats()
            return stats if stats and stats.is_pair else None

        return wait.until(protected, timeout_seconds, "PAIR on node a")

    def wait_online(self):
        """Until node a sees both nodes in the cluster."""

        def are_online():
            view = self.view("a")
            nodes = [] if view is None else view.findall("nodes/node")
            return len(nodes) == 2 and all(node.get("online") == "true" for node in nodes)

        wait.until(are_online, UP_SECONDS, "both nodes in the cluster", 0.2)

    def end_primary(self, number):
        raise NotImplementedError("crash() ends nodes of a cluster")

    def crash(self, name):
        """As when a host dies: what its kernel still held for the peer never arrives."""
        for link in ("between", "rail"):
            self.network.cut(link=link)
        self.hosts[name].kill()

    def reboot(self, name):
        self.network.heal()
        self.hosts[name].switch_on()
        self.hosts[name].wait_up()

    def view(self, name):
        """The cluster as a node sees it: an element of crm_mon's XML, or None."""
        if not self.hosts[name].is_on:
            return None
        ended = self.hosts[name].run("crm_mon", "--one-shot", "--output-as=xml",
                                     "--show-node-attributes")
        try:
            return ElementTree.fromstring(ended.stdout)
        except ElementTree.ParseError:
            return None

    def roles(self, name):
        """{node: role} of the pair's resource as a node sees it."""
        view = self.view(name)
        return {} if view is None else {
            resource.find("node").get("name"): resource.get("role")
            for resource in view.iter("resource")
            if resource.get("id") == "kv" and resource.find("node") is not None
        }

    def score(self, name, seen_from):
        """The promotion score of a node, as text; "" when it has none."""
        view = self.view(seen_from)
        if view is None:
            return ""
        return next(
            (attribute.get("value") for node in view.iter("node") if node.get("name") == name
             for attribute in node.iter("attribute") if attribute.get("name") == "master-kv"), "")

    def wait_role(self, name, role, seen_from, timeout_seconds=TAKE_OVER_SECONDS):
        wait.until(lambda: self.roles(seen_from).get(name) == role, timeout_seconds,
                   f"role {role} of node {name}", 0.1)

    # ---- the nodes' disks ----

    def _host(self, name):
        files = self.layout.directory / f"{name}.disk"
        for part in ("corosync", "register", "log", "ocf/tandem", "sbin", *_PACEMAKER_DIRECTORIES):
            (files / part).mkdir(parents=True)
        (files / "corosync" / "corosync.conf").write_text(self._corosync())
        shutil.copy(self.programs.parent / "conf" / "pair", files / "ocf/tandem/pair")
        (files / "ocf/tandem/pair").chmod(0o755)
        shutil.copy(HERE / "cluster_fence.py", files / "sbin/fence_tandem_test")
        (files / "sbin/fence_tandem_test").chmod(0o755)
        (files / "pacemaker/cib/cib.xml").write_text(self._cib())
        for path in [files / "log", files / "pacemaker", *(files / "pacemaker").rglob("*")]:
            shutil.chown(path, "hacluster", "haclient")
        tandem = ["--config", str(self.layout.configuration_path), "--node", name]
        run_directory = self.layout.nodes[name].run_directory
        settings = {
            "binds": {
                str(files / "corosync"): "/etc/corosync",
                str(files / "register"): REGISTER,
                str(files / "pacemaker"): "/var/lib/pacemaker",
                str(files / "log"): "/var/log/pacemaker",
            },
            "overlays": {str(files / "ocf"): "/usr/lib/ocf/resource.d",
                         str(files / "sbin"): "/usr/sbin"},
            "environment": {"PCMK_logfile": "/var/log/pacemaker/pacemaker.log"},
            "daemons": {
                "tandem-failoverd": [
                    [str(self.programs / "tandem-failoverd"), *tandem],
                    [str(self.programs / "tandemctl"), *tandem, "status"]],
                "tandemd": [[str(self.programs / "tandemd"), *tandem], ["true"]],
                "corosync": [["corosync", "-f"], ["corosync-cfgtool", "-s"]],
                "pacemakerd": [["pacemakerd"], ["cibadmin", "--query"]],
            },
        }
        return Host(name, self.network.namespaces[name], settings, self.layout.log_path(name))

    def _corosync(self):
        nodes = "".join(
            _COROSYNC_NODE.format(address=self.network.rail[name], name=name, number=number)
            for number, name in enumerate("ab", 1)
        )
        return _COROSYNC.format(token=TOKEN_MS, nodes=nodes)

    def _cib(self):
        parameters = {"pair": PAIR, "config": self.layout.configuration_path,
                      "tandemctl": self.programs / "tandemctl", "yield_after": YIELD_SECONDS}
        lines = "".join(f'      <nvpair id="kv-{name}" name="{name}" value="{value}"/>\n'
                        for name, value in parameters.items())
        resources = _PAIR_RESOURCE.format(parameters=lines) if self._with_resource else ""
        return _CIB.format(switch=self._switch_path, resources=resources)
