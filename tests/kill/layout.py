"""Where the two nodes of a test keep what, and the configuration file that says so."""

import hmac
import secrets
import shutil
import socket
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

PAIR = "kv"
PORTS_PER_PAIR = 8
_PORT_FIRST = 17000
_PORT_PAIRS = 1500  # all below the ports that the kernel hands out
_PORT_ATTEMPTS = 100
_held = {}  # {first port: what keeps the pairs of other processes off, until it is closed}


@dataclass
class NodeLayout:
    name: str
    address: str
    port: int
    heartbeats: list  # (address, port) of each link
    serve_address: str
    serve_port: int
    run_directory: Path
    image_directory: Path
    namespace: str = ""  # network namespace, "" for the caller's
    rails: list = field(default_factory=list)  # further addresses for the data
    fence: str = ""  # how it is switched off: a list of groups, as written
    listen: str = ""  # where the server listens when that is not where clients reach it

    @property
    def serve_at(self):
        return (self.serve_address, self.serve_port)

    @property
    def listen_at(self):
        return self.listen or f"{self.serve_address}:{self.serve_port}"

    @property
    def stats_path(self):
        return self.run_directory / f"{PAIR}.stats"


class KeyValue:
    """The protected program of most tests; what else is to be protected is made alike."""

    name = "tandem-kv"

    def path(self, programs):
        return programs / self.name

    def arguments(self, node):
        return ["--pair", PAIR, "--run-dir", str(node.run_directory), "--listen", node.listen_at]

    def promote_command(self, nodes):
        """One command for both nodes, as one file serves both."""
        places = " ".join(f"{node.name}) at={node.listen_at} ;;" for node in nodes.values())
        return (
            f"case $TANDEM_NODE in {places} esac; "
            'exec "$TANDEM_BIN_DIR/tandem-kv" --pair "$TANDEM_PAIR" --run-dir "$TANDEM_RUN_DIR"'
            " --listen $at"
        )


@dataclass
class Layout:
    """Both nodes; files below one directory, images below one on a memory file system."""

    directory: Path
    images: Path
    nodes: dict
    arbiter: Path
    provider: str = "tcp"
    tracker: str = "auto"
    arbiter_type: str = "file"
    arbiter_options: str = ""  # further keys of the arbiter, as written
    pair_options: dict = field(default_factory=dict)  # further keys of the pair, as written
    program: object = field(default_factory=KeyValue)
    key: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def configuration_path(self):
        return self.directory / "tandem.conf"

    def log_path(self, name):
        return self.directory / f"{name}.log"

    @property
    def key_path(self):
        """Where the programs read it."""
        return self.directory / "kv.key"

    @property
    def session_key(self):
        return bytes.fromhex(self.key)

    @property
    def heartbeat_key(self):
        return hmac.digest(self.session_key, b"heartbeat", "sha256")[:16]

    def write(self):
        self.configuration_path.write_text(self.configuration())
        key_path = self.directory / "kv.key"
        key_path.write_text(f"{self.key}\n")
        key_path.chmod(0o600)

    def remove(self, keep_files=False):
        for node in self.nodes.values():
            for port in (node.port, node.serve_port):
                release_ports(port)
        shutil.rmtree(self.images, ignore_errors=True)
        if not keep_files:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _arbiter_place(self):
        return "" if self.arbiter_type == "etcd" else f"path = {_quote(str(self.arbiter))}; "

    def _program_group(self):
        if hasattr(self.program, "protect_group"):
            return self.program.protect_group()
        return f"promote = {{ command = {_quote(self.program.promote_command(self.nodes))}; }};"

    def configuration(self):
        nodes = ",\n".join(_node_text(node) for node in self.nodes.values())
        options = "".join(f"    {key} = {text};\n" for key, text in self.pair_options.items())
        return (
            'cluster = "test";\n'
            f"nodes = (\n{nodes}\n);\n"
            "pairs = (\n  {\n"
            f'    name = "{PAIR}";\n'
            f"    nodes = [{', '.join(_quote(name) for name in self.nodes)}];\n"
            f"    arbiter = {{ type = {_quote(self.arbiter_type)};"
            f" {self._arbiter_place()}{self.arbiter_options} }};\n"
            f"    {self._program_group()}\n"
            f'    provider = "{self.provider}";\n'
            f'    tracker = "{self.tracker}";\n'
            f"    key_file = {_quote(str(self.key_path))};\n"
            f"{options}"
            "  }\n);\n"
        )


def _quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _node_text(node):
    links = ", ".join(
        f'{{ address = "{address}"; port = {port}; }}' for address, port in node.heartbeats
    )
    rails = ", ".join(_quote(address) for address in node.rails)
    return (
        "  {\n"
        f'    name = "{node.name}";\n'
        f'    address = "{node.address}";\n'
        f"    port = {node.port};\n"
        + (f"    rails = [ {rails} ];\n" if rails else "")
        + f"    heartbeat = ( {links} );\n"
        + (f"    fence = ( {node.fence} );\n" if node.fence else "")
        + f"    run_directory = {_quote(str(node.run_directory))};\n"
        f"    image_directory = {_quote(str(node.image_directory))};\n"
        "  }"
    )


def new_directories():
    """A fresh directory for files and one for images."""
    directory = Path(tempfile.mkdtemp(prefix="tandem-test-"))
    images = Path(tempfile.mkdtemp(prefix="tandem-test-", dir="/dev/shm"))
    return directory, images


def free_ports():
    """The first of PORTS_PER_PAIR ports that nobody uses now; no other test gets them until they
    are released, as by the layout that they are for, or this process ends."""
    for _ in range(_PORT_ATTEMPTS):
        first_port = _PORT_FIRST + secrets.randbelow(_PORT_PAIRS) * PORTS_PER_PAIR
        holder = _hold(first_port)
        if not holder:
            continue
        if all(_is_free(port) for port in range(first_port, first_port + PORTS_PER_PAIR)):
            _held[first_port] = holder
            return first_port
        holder.close()
    raise OSError("no free ports for a pair of nodes")


def release_ports(first_port):
    if holder := _held.pop(first_port, None):
        holder.close()


def _hold(first_port):
    """A name that the kernel gives to one process at a time, and takes back at its end."""
    holder = socket.socket(socket.AF_UNIX)
    try:
        holder.bind(f"\0tandem-test-ports-{first_port}")
    except OSError:
        holder.close()
        return None
    return holder


def _is_free(port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def on_loopback(address="127.0.0.1", **options):
    """A layout on this computer that meets no other; sessions go over the address."""
    directory, images = new_directories()
    first_port = free_ports()
    nodes = {}
    for index, name in enumerate("ab"):
        port = first_port + index * (PORTS_PER_PAIR // 2)
        nodes[name] = NodeLayout(
            name=name,
            address=address,
            port=port,
            heartbeats=[("127.0.0.1", port + 1)],
            serve_address="127.0.0.1",
            serve_port=port + 2,
            run_directory=directory / name,
            image_directory=images / name,
        )
    layout = Layout(directory, images, nodes, directory / "arbiter", **options)
    layout.write()
    return layout
