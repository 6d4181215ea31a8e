#!/usr/bin/env python3
"""No function over 70 lines; a file over 600 lines is a warning."""

import statistics

import sources

FUNCTION_LINES_MAX = 70
FILE_LINES_ASK = 600


def functions(text):
    """(first line, lines) of each: from the brace in the first column to its end, as the house's
    format writes them."""
    start = None
    for number, line in enumerate(sources.blank(text).split("\n"), 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            yield start, number - start - 1
            start = None


def check(root):
    mistakes, lengths = [], []
    for path in sources.files(root, "*.c", "*.h"):
        text = sources.read(root, path)
        if text.count("\n") > FILE_LINES_ASK:
            print(f"warning: {path}: {text.count(chr(10))} lines, is it one noun?")
        for line, length in functions(text):
            lengths.append(length)
            if length > FUNCTION_LINES_MAX:
                mistakes.append(
                    f"{path}:{line}: a function of {length} lines, at most {FUNCTION_LINES_MAX}"
                )
    if lengths:
        print(f"median function: {statistics.median(lengths):.0f} lines")
    return mistakes, len(lengths)


if __name__ == "__main__":
    sources.main(check)
