"""The rows of the matrix by name."""

from dataclasses import dataclass

from matrix import rows_kill


@dataclass
class Row:
    name: str
    fault: str
    passes: str  # what must hold, besides the judge
    cases: list
    rounds: int  # unless --rounds says otherwise
    bed: str = "namespaces"


ROWS = {
    row.name: row
    for row in (
        Row("F1", "primary killed at each step of a checkpoint", "the secondary goes on",
            rows_kill.F1, 9),
        Row("F2", "primary stopped at each step of a checkpoint, goes on after the take-over",
            "it ends halted, its node joins and can take over", rows_kill.F2, 9),
        Row("F3", "secondary killed or stopped at each step of receiving",
            "the primary goes on alone, and a later copy is exact", rows_kill.F3, 10),
        Row("F5", "taking node killed at each step of a take-over",
            "a controller that was started again goes on; no copy left: nobody leads, with advice",
            rows_kill.F5, 12),
    )
}
