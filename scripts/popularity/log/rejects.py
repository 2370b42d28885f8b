"""Rows of an archive that cannot be used: a fault that names the first few, or left out and listed."""

import csv
from typing import TextIO

from popularity.program import Fault

#: What ``data.on_bad_rows`` may say.
POLICIES = ("error", "drop")

#: Columns of rejected.csv.
HEADER = ("file", "line", "reason", "row")

#: Rows that a fault or the log names one by one.
SHOWN = 5


class Rejects:
    """Collects rows that are not as they must be.

    Parameters
    ----------
    policy
        ``error``, so that :meth:`check` raises a fault if there was any, or ``drop``.
    file
        Where to list what was dropped: a CSV file with the columns of :data:`HEADER`, in the order
        in which the rows are found. With ``error`` it has no row.
    """

    def __init__(self, policy: str = "error", file: TextIO | None = None) -> None:
        """Begin with no row."""
        self.total = 0
        self._policy = policy
        self._first: list[tuple[str, str]] = []
        self._rows = csv.writer(file, lineterminator="\n") if file else None
        if self._rows:
            self._rows.writerow(HEADER)

    @property
    def drops(self) -> bool:
        """Whether rows that cannot be used are dropped."""
        return self._policy == "drop"

    def unlisted(self) -> "Rejects":
        """Give a new collection with the same policy, and no file."""
        return Rejects(self._policy)

    def add(self, member: str, line: int, reason: str, row: str) -> None:
        """Note a row of a file of the archive, by its line from 1 and its text."""
        self.total += 1
        if len(self._first) < SHOWN:
            self._first.append((member, f"line {line}: {reason}"))
        if self._rows and self.drops:
            # What is not UTF-8 is written as \xe9, so that the file is.
            shown = row.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            self._rows.writerow((member, line, reason, shown))

    def summary(self) -> str:
        """Give the first few rows, and how many more there are, as one line."""
        lines, before = [], None
        for member, what in self._first:
            lines.append(what if member == before else f"{member}: {what}")
            before = member
        if self.total > len(self._first):
            lines.append(f"and {self.total - len(self._first)} more bad rows")
        return "; ".join(lines)

    def check(self, archive: object) -> None:
        """Raise a fault for the rows so far, unless they are to be dropped."""
        if self.total and not self.drops:
            raise Fault(
                f"{archive}: {self.summary()}: correct the file, or leave bad rows out"
                " with `data: on_bad_rows: drop`"
            )
