"""Write a table as an HTML page that needs nothing else, sorted by a click on a column's head."""

import argparse
import html
from pathlib import Path

import popularity.start

import pandas as pd

from popularity.program import atomic_write, run
from popularity.results import read_csv
from popularity.wording import Wording, add_words

#: Significant digits of numbers that are not whole.
DIGITS = 5

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 14px/1.4 system-ui, sans-serif; color: #1a1a1a; margin: 1em; }}
h1 {{ font-size: 18px; margin: 0 0 0.3em; }}
p {{ color: #555; margin: 0 0 1em; }}
table {{ border-collapse: collapse; }}
th {{ position: sticky; top: 0; background: #fff; text-align: left; border-bottom: 2px solid #808080; }}
th button {{ all: unset; cursor: pointer; font-weight: bold; padding: 0.3em 0.8em; white-space: nowrap; }}
th button:focus-visible {{ outline: 2px solid #0072b2; }}
th[aria-sort] button::after {{ content: " \\25B2"; color: #0072b2; }}
th[aria-sort="descending"] button::after {{ content: " \\25BC"; }}
td {{ padding: 0.25em 0.8em; border-bottom: 1px solid #e5e5e5; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
tbody tr:hover {{ background: #eaf4fb; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{note} Click on a column's head to sort by it.</p>
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
<script>
const body = document.querySelector("tbody");
const heads = [...document.querySelectorAll("th")];
const key = (row, at) => row.cells[at].dataset.value ?? row.cells[at].textContent;
heads.forEach((head, at) => head.firstChild.addEventListener("click", () => {{
  const sign = head.ariaSort === "ascending" ? -1 : 1;
  const numeric = head.className === "number";
  const rows = [...body.rows];
  rows.sort((one, other) => {{
    const [a, b] = [key(one, at), key(other, at)];
    // What is missing comes last, either way.
    if (a === "" || b === "") return (a === "") - (b === "");
    return sign * (numeric ? a - b : a.localeCompare(b));
  }});
  body.append(...rows);
  heads.forEach((each) => each.removeAttribute("aria-sort"));
  head.ariaSort = sign > 0 ? "ascending" : "descending";
}}));
</script>
</body>
</html>
"""


def cell(value: object) -> str:
    """Write a cell; a number keeps all of its digits for sorting."""
    if pd.isna(value):  # type: ignore[call-overload]
        return '<td class="number"></td>'
    if isinstance(value, int | float):
        shown = f"{value:,}" if isinstance(value, int) else f"{value:.{DIGITS}g}"
        return f'<td class="number" data-value="{value!r}">{shown}</td>'
    return f"<td>{html.escape(str(value))}</td>"


def table_page(table: pd.DataFrame, title: str, source: str, most: int, wording: Wording) -> str:
    """Write a table's first ``most`` rows as a page; columns without a value are left out.

    The title and the columns' names are put in the words of ``wording``.
    """
    shown = table.dropna(axis="columns", how="all").head(most)
    note = f"{len(table):,} rows of {source}."
    if len(shown) < len(table):
        note = f"The first {len(shown):,} of {note}"
    head = "".join(
        f'<th{kind}><button type="button">{html.escape(wording.heading(str(name)))}</button></th>'
        for name, kind in (
            (name, ' class="number"' if pd.api.types.is_numeric_dtype(shown[name]) else "")
            for name in shown
        )
    )
    columns = [shown[name].tolist() for name in shown]
    rows = "\n".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in zip(*columns, strict=True))
    title = html.escape(wording(title))
    return PAGE.format(title=title, note=html.escape(note), head=head, rows=rows)


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--table", type=Path, nargs="+", required=True, help="CSV file, or several, one below the other"
    )
    parser.add_argument("--title", required=True)
    parser.add_argument("--rows", type=int, default=1000, help="most rows shown (default: 1000)")
    parser.add_argument("--page", type=Path, required=True, help="HTML file, to write")
    add_words(parser)
    args = parser.parse_args()

    table = pd.concat([read_csv(path) for path in args.table], ignore_index=True)
    source = ", ".join(path.name for path in args.table)
    with atomic_write(args.page) as path:
        page = table_page(table, args.title, source, args.rows, Wording(args.words))
        path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    run(main)
