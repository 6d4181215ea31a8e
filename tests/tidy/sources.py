"""What the checkers look at: the files of the repository, and C without its comments."""

import re
import subprocess
import sys
from pathlib import Path

ROOMS = ("base", "transport", "colo", "failover", "conf", "qemu", "node", "examples")

_TOKENS = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL
)


def files(root, *patterns):
    """Files that git knows below root (all of them where there is no git), relative, sorted."""
    root = Path(root)
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", root, "ls-files", "-z"],
        capture_output=True, check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        paths = [Path(name) for name in listed.stdout.decode().split("\0") if name]
    else:
        paths = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
        paths = [path for path in paths if not path.parts[0].startswith(("build", "."))]
    return sorted(
        path
        for path in paths
        if (root / path).is_file() and any(path.match(pattern) for pattern in patterns)
    )


def read(root, path):
    return (Path(root) / path).read_text(errors="replace")


def blank(text, keep_strings=False):
    """C with comments, and what is in quotes, as blanks; lines stay where they are."""

    def replace(match):
        token = match.group(0)
        if token[0] in "\"'":
            return token if keep_strings else token[0] + " " * (len(token) - 2) + token[0]
        return re.sub(r"[^\n]", " ", token)

    return _TOKENS.sub(replace, text)


def comments(text):
    """(line, text) of each comment."""
    for match in _TOKENS.finditer(text):
        if match.group(0)[0] == "/":
            yield text.count("\n", 0, match.start()) + 1, match.group(0)


def finish(mistakes, checked):
    """Prints what is wrong, or how much was looked at; an exit status."""
    if checked == 0:
        print("nothing to check: a checker that looks at nothing proves nothing")
        return 1
    for mistake in mistakes:
        print(mistake)
    print(f"{checked} checked, {len(mistakes)} mistakes")
    return 1 if mistakes else 0


def main(check):
    """For checkers whose arguments are the root and what else they need."""
    arguments = sys.argv[1:] or [Path(__file__).resolve().parents[2]]
    sys.exit(finish(*check(*arguments)))
