#!/usr/bin/env python3
"""A fence agent: asks the switch that cluster.py plays to end everything of a node."""

import socket
import sys

METADATA = """\
<?xml version="1.0"?>
<resource-agent name="fence_tandem_test" shortdesc="Ends a node of a test">
<longdesc>Asks the socket at `switch` to end all processes of the node `plug`.</longdesc>
<parameters>
<parameter name="switch" required="1"><content type="string"/></parameter>
<parameter name="plug" required="1"><content type="string"/></parameter>
<parameter name="action" required="1"><content type="string" default="off"/></parameter>
</parameters>
<actions>
<action name="off"/><action name="status"/><action name="monitor"/><action name="metadata"/>
</actions>
</resource-agent>
"""
_SECONDS = 20


def options():
    """As lines key=value, or the action as an argument."""
    given = dict(line.strip().split("=", 1) for line in sys.stdin if "=" in line)
    if "-o" in sys.argv:
        given["action"] = sys.argv[sys.argv.index("-o") + 1]
    return given


def ask(path, request):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_SECONDS)
        connection.connect(path)
        connection.sendall(request.encode() + b"\n")
        return connection.recv(64).decode().strip()


def main():
    given = options()
    action = given.get("action", "off")
    if action == "metadata":
        print(METADATA)
        return 0
    answer = ask(given["switch"], f"{action} {given.get('plug', '')}")
    if action == "status":
        return {"on": 0, "off": 2}.get(answer, 1)
    return 0 if answer == "done" else 1


if __name__ == "__main__":
    sys.exit(main())
