"""The table of docs/testing.md takes in what ran, and keeps what did not."""

import tempfile
import unittest
from pathlib import Path

from matrix import documentation, rows
from matrix.rows import LAB, Row

PAGE = Path(__file__).resolve().parents[2] / "docs" / "testing.md"

ROWS = {row.name: row for row in (
    Row("F1", "killed", "goes on", [1, 2], 1), Row("F19", "power lost", "as F1", [1], 1, LAB),
    Row("F1-rdma", "off", "goes on", [1, 2, 3], 1, LAB), Row("F20", "twice", "says why", [1], 1),
)}


def result(row, rounds, failures=0):
    return {"row": row, "rounds": rounds, "failures": failures}


class DocumentationTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "page.md"
        self.path.write_text(f"above\n{documentation.BEGIN}\n{documentation.END}\nbelow\n")

    def write(self, *results):
        """The cells of each row of the table, without the date."""
        documentation.write(self.path, results, ROWS)
        lines = self.path.read_text().splitlines()
        self.assertEqual((lines[0], lines[-1]), ("above", "below"))
        return [line.strip("| ").split(" | ")[:-1] for line in lines if line.startswith("| F")]

    def test_a_line_says_what_came_out(self):
        self.assertEqual(self.write(result("F1", 9, 2)),
                         [["F1", "killed", "goes on", "namespaces", "2", "9", "2"]])

    def test_rows_of_both_beds_stay_when_others_run(self):
        self.write(result("F1", 5), result("F20", 6))
        self.write(result("F1-rdma", 7))
        table = self.write(result("F19", 8), result("F20", 9))
        self.assertEqual([(cells[0], cells[5]) for cells in table],
                         [("F1", "5"), ("F19", "8"), ("F1-rdma", "7"), ("F20", "9")])
        self.assertEqual(table[1][3], LAB)

    def test_every_row_is_on_record_as_it_is(self):
        recorded = documentation.read(PAGE.read_text())
        self.assertEqual(list(recorded), list(rows.ROWS))
        for name, line in recorded.items():
            with self.subTest(row=name):
                row = rows.ROWS[name]
                self.assertEqual(line[:len(documentation.words(row))], documentation.words(row))
                cases, rounds, failures = line.strip("| ").split(" | ")[4:7]
                self.assertEqual((int(cases), failures), (len(row.cases), "0"))
                self.assertGreater(int(rounds), 0)


if __name__ == "__main__":
    unittest.main()
