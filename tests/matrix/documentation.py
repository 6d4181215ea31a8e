"""The table of rows and results in docs/testing.md."""

import datetime
import re

_BEGIN = "<!-- written by tests/faults --write-docs: begin -->"
_END = "<!-- end -->"
_HEAD = ("| row | fault | what must hold, besides the judge | bed | cases | rounds | failures | date |\n"
         "| --- | --- | --- | --- | --- | --- | --- | --- |\n")


def write(path, results, rows):
    """Rows that did not run keep what is on record about them."""
    text = path.read_text()
    before, rest = text.split(_BEGIN, 1)
    old, after = rest.split(_END, 1)
    lines = {name: line for line, name in
             re.findall(r"^(\| (F[\w-]+) \|.*)$", old, re.MULTILINE)}
    today = datetime.date.today().isoformat()
    for result in results:
        row = rows[result["row"]]
        lines[row.name] = (
            f"| {row.name} | {row.fault} | {row.passes} | {row.bed} | {len(row.cases)} |"
            f" {result['rounds']} | {result['failures']} | {today} |"
        )
    ordered = [lines[name] for name in rows if name in lines]
    path.write_text(before + _BEGIN + "\n" + _HEAD + "\n".join(ordered) + "\n" + _END + after)
