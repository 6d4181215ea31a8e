"""Two network namespaces, links between them and one to each from here."""

import secrets
import subprocess

_LINK_BITS = 30
_NUMBERS = 250
_ATTEMPTS = 20


class NetworkError(Exception):
    """The kernel or the privileges do not give us namespaces, links or filters."""


def _run(*command, check=True):
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    if check and ended.returncode:
        raise NetworkError(f"{' '.join(command)}: {ended.stderr.strip()}")


class Network:
    """Made at once; add() fills it, remove() takes all of it away.

    between["a"], between["b"]   addresses of the link between the nodes
    rail["a"], rail["b"]         of a second one
    outside["a"], outside["b"]   addresses at which the caller reaches a node
    """

    def __init__(self):
        number = self._take_number()
        prefix = f"10.79.{number}"
        self.between = {"a": f"{prefix}.1", "b": f"{prefix}.2"}
        self.outside = {"a": f"{prefix}.6", "b": f"{prefix}.10"}
        self.rail = {"a": f"{prefix}.13", "b": f"{prefix}.14"}
        self._here = {"a": f"{prefix}.5", "b": f"{prefix}.9"}
        self._links = {name: f"tandem-{name}{number}" for name in "ab"}

    def _take_number(self):
        """The name of a namespace can be had once: it keeps networks of several runs apart."""
        reason = None
        for _ in range(_ATTEMPTS):
            number = secrets.randbelow(_NUMBERS) + 1
            self.namespaces = {name: f"tandem-{name}-{number}" for name in "ab"}
            try:
                _run("ip", "netns", "add", self.namespaces["a"])
                return number
            except NetworkError as error:
                reason = error
        raise reason

    def add(self):
        try:
            _run("ip", "netns", "add", self.namespaces["b"])
            self._join_nodes("between", self.between)
            self._join_nodes("rail", self.rail)
            for name in "ab":
                self._join_outside(name)
        except (NetworkError, OSError):
            self.remove()
            raise

    def _join_nodes(self, link, addresses):
        first, second = self.namespaces["a"], self.namespaces["b"]
        _run("ip", "-n", first, "link", "add", link, "type", "veth", "peer", "name", link,
             "netns", second)
        for name, namespace in self.namespaces.items():
            self._set_up(namespace, link, addresses[name])
            self._set_loopback_up(namespace)

    @staticmethod
    def _set_loopback_up(namespace):
        _run("ip", "-n", namespace, "link", "set", "lo", "up")

    def _join_outside(self, name):
        namespace, link = self.namespaces[name], self._links[name]
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "outside", "netns",
             namespace)
        _run("ip", "address", "add", f"{self._here[name]}/{_LINK_BITS}", "dev", link)
        _run("ip", "link", "set", link, "up")
        self._set_up(namespace, "outside", self.outside[name])

    @staticmethod
    def _set_up(namespace, link, address):
        _run("ip", "-n", namespace, "address", "add", f"{address}/{_LINK_BITS}", "dev", link)
        _run("ip", "-n", namespace, "link", "set", link, "up")

    def cut(self, what="", link="between", verdict="drop", at="ba"):
        """Silently drops what comes over a link between the nodes, both ways or what arrives at
        one; `what` narrows it down, in nft's words. First what node a sends: for a moment it still
        hears the other one."""
        for namespace in (self.namespaces[name] for name in at):
            rules = (
                "table inet cut { chain input { type filter hook input priority 0;"
                f' iifname "{link}" {what} {verdict}; }}; }}'
            )
            _run("ip", "netns", "exec", namespace, "nft", rules)

    def connections(self, name, address, port):
        """The ports of node `name` from which it is connected to an address and port."""
        ended = subprocess.run(
            ["ip", "netns", "exec", self.namespaces[name], "ss", "-Htn", "state", "established",
             "dst", f"{address}:{port}"],
            capture_output=True, text=True, timeout=20, check=True,
        )
        return [int(line.split()[2].rpartition(":")[2]) for line in ended.stdout.splitlines()]

    def heal(self):
        for namespace in self.namespaces.values():
            _run("ip", "netns", "exec", namespace, "nft",
                 "add table inet cut; delete table inet cut")

    def host_address(self, name):
        """Of this side of node `name`'s outside link."""
        return self._here[name]

    def remove_address(self, name, link="between"):
        _run("ip", "-n", self.namespaces[name], "address", "flush", "dev", link)

    def add_address(self, name, link="between"):
        addresses = {"between": self.between, "rail": self.rail}[link]
        self._set_up(self.namespaces[name], link, addresses[name])

    def set_link(self, name, state, link="between"):
        """A port of node `name` goes up or down."""
        _run("ip", "-n", self.namespaces[name], "link", "set", link, state)

    def remove(self):
        for name, namespace in self.namespaces.items():
            _run("ip", "link", "delete", self._links[name], check=False)
            _run("ip", "netns", "delete", namespace, check=False)
