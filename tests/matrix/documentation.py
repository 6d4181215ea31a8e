"""The table of rows and results in docs/testing.md."""

import datetime
import re

BEGIN = "<!-- written by tests/faults --write-docs: begin -->"
END = "<!-- end -->"
_HEAD = ("| row | fault | what must hold, besides the judge | bed | cases | rounds | failures | date |\n"
         "| --- | --- | --- | --- | --- | --- | --- | --- |\n")


def read(text):
    """The table's line of each row that is on record."""
    table = text.split(BEGIN, 1)[1].split(END, 1)[0]
    return {name: line for line, name in re.findall(r"^(\| (F[\w-]+) \|.*)$", table, re.MULTILINE)}


def words(row):
    """With which its line begins."""
    return f"| {row.name} | {row.fault} | {row.passes} | {row.bed} |"


def write(path, results, rows):
    """Rows that did not run keep what is on record about them."""
    text = path.read_text()
    lines = read(text)
    today = datetime.date.today().isoformat()
    for result in results:
        row = rows[result["row"]]
        lines[row.name] = (f"{words(row)} {len(row.cases)} | {result['rounds']} |"
                           f" {result['failures']} | {today} |")
    table = "\n".join(lines[name] for name in rows if name in lines)
    before, after = text.split(BEGIN, 1)[0], text.split(END, 1)[1]
    path.write_text(f"{before}{BEGIN}\n{_HEAD}{table}\n{END}{after}")
