#!/usr/bin/env python3
"""Every numbered sentence of docs/protocol.md is cited by code or a test, as [C12], and every
citation has its sentence."""

import re

import sources

_SENTENCE = re.compile(r"^\s*(?:[-*]\s+)?\[([A-Z]\d+)\]", re.MULTILINE)
_CITATION = re.compile(r"\[([A-Z]\d+)((?:,\s*[A-Z]\d+)*)\]")


def citations(text):
    for match in _CITATION.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        for number in [match.group(1), *re.findall(r"[A-Z]\d+", match.group(2))]:
            yield line, number


def cited_in(root, sections):
    """{number: places} in code, tests and tools; `sections` are the letters of the document."""
    places = {}
    for path in sources.files(root, "*.c", "*.h", "*.py", "*.pml", "CMakeLists.txt"):
        if path.parts[:2] == ("tests", "tidy"):
            continue
        # An index of one capital and a digit is no citation where it stands in code.
        text = sources.read(root, path)
        if path.suffix in (".c", ".h"):
            found = (
                (first + line - 1, number)
                for first, comment in sources.comments(text)
                for line, number in citations(comment)
            )
        else:
            found = citations(text)
        for line, number in found:
            if number[0] in sections:
                places.setdefault(number, []).append(f"{path}:{line}")
    return places


def check(root):
    document = sources.Path(root) / "docs" / "protocol.md"
    if not document.is_file():
        return [], 1
    numbers = _SENTENCE.findall(document.read_text())
    mistakes = [
        f"docs/protocol.md: [{number}] stands twice"
        for number in sorted(set(numbers))
        if numbers.count(number) > 1
    ]
    places = cited_in(root, {number[0] for number in numbers})
    mistakes += [
        f"docs/protocol.md: [{number}] is cited by no code and no test"
        for number in numbers
        if number not in places
    ]
    mistakes += [
        f"{place}: [{number}] is no sentence of docs/protocol.md"
        for number, cited in sorted(places.items())
        if number not in numbers
        for place in cited
    ]
    return mistakes, len(numbers)


if __name__ == "__main__":
    sources.main(check)
