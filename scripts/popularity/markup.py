"""Texts for a page in reStructuredText: a log's own are shown as they are, and are never markup."""

import re
from collections.abc import Sequence

from popularity.wording import own


def plain(text: str) -> str:
    """Write a text so that neither reStructuredText nor the template of Snakemake's report reads it.

    It stays within its line, without control characters, each sign in it stands for itself, and a wording
    leaves it as it is.
    """
    line = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text).split())
    return own(re.sub(r"([^\w\s]|_)", r"\\\1", line.replace("{", "(").replace("}", ")")))


def table(head: tuple[str, str], rows: Sequence[tuple[str, str]]) -> str:
    """Make a table of two columns; the texts may have markup, but each has to be one line."""
    cells = [f"   * - {what}\n     - {value}".rstrip() for what, value in (head, *rows)]
    return "\n".join([".. list-table::", "   :header-rows: 1", "   :widths: 62 38", "", *cells])
