"""Write the captions of the report's pictures and tables in the words of the log."""

import argparse
from pathlib import Path

import popularity.start

from popularity.program import atomic_write, run
from popularity.wording import Wording, add_words


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--captions", type=Path, nargs="+", required=True, help="reStructuredText, a file each"
    )
    parser.add_argument("--folder", type=Path, required=True, help="where they are written, by their names")
    add_words(parser)
    args = parser.parse_args()

    for caption in args.captions:
        with atomic_write(args.folder / caption.name) as path:
            path.write_text(Wording(args.words)(caption.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    run(main)
