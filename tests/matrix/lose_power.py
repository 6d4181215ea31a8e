"""In a lab machine: runs a program; when a failpoint stops it, the power of the machine is lost.

Nothing of the program is taken down: what it had posted is with the device, and ends with it.
"""

import os
import sys


def main(command):
    process = os.fork()
    if process == 0:
        os.execv(command[0], command)
    trigger = os.open("/proc/sysrq-trigger", os.O_WRONLY)
    _, status = os.waitpid(process, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        os.write(trigger, b"b")  # QEMU ends where a machine would begin anew
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code  # as a shell says it


sys.exit(main(sys.argv[1:]))
