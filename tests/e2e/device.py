"""Which RDMA device this machine has, or can have."""

import json
import subprocess
from collections import namedtuple
from pathlib import Path

Device = namedtuple("Device", "name link address")

SOFT_NAME = "tandem_rxe"
_DEVICES = Path("/sys/class/infiniband")


def find():
    """The first active device whose network link has an IPv4 address, or None."""
    for path in sorted(_DEVICES.glob("*")):
        if _is_active(path):
            link = _link(path)
            address = _address(link) if link else None
            if address:
                return Device(path.name, link, address)
    return None


def make_soft():
    """Makes a soft-RoCE device as (device, "") or says why there is none as (None, reason)."""
    reason = _run("modprobe", "rdma_rxe")
    if reason:
        return None, f"this kernel has no rdma_rxe ({reason})"
    link = _first_link()
    if not link:
        return None, "no network link with an IPv4 address to put rdma_rxe on"
    reason = _run("rdma", "link", "add", SOFT_NAME, "type", "rxe", "netdev", link)
    if reason:
        return None, f"rdma link add: {reason}"
    return Device(SOFT_NAME, link, _address(link)), ""


def remove_soft():
    _run("rdma", "link", "delete", SOFT_NAME)


def _is_active(path):
    try:
        return "ACTIVE" in (path / "ports/1/state").read_text()
    except OSError:
        return False


def _link(path):
    try:
        return (path / "ports/1/gid_attrs/ndevs/0").read_text().strip()
    except OSError:
        return None


def _address(link):
    """The first IPv4 address of a link, or None."""
    for entry in _ip_addresses():
        if entry["ifname"] == link:
            return next((info["local"] for info in entry["addr_info"]), None)
    return None


def _first_link():
    for entry in _ip_addresses():
        if entry["ifname"] != "lo" and entry.get("operstate") == "UP" and entry["addr_info"]:
            return entry["ifname"]
    return None


def _ip_addresses():
    ended = subprocess.run(["ip", "-json", "-4", "address"], capture_output=True, check=True)
    return [entry for entry in json.loads(ended.stdout) if entry.get("addr_info")]


def _run(*command):
    """"" when it succeeded, else what it said."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except OSError as error:
        return str(error)
    if ended.returncode == 0:
        return ""
    return ended.stderr.strip().splitlines()[-1] if ended.stderr.strip() else "failed"
