"""Put the shards of a table together to the table that a single job would have written."""

import argparse
from pathlib import Path

import popularity.start

from popularity import tables
from popularity.program import Fault, run

SCHEMAS = {"joined": tables.JOINED, "labelled": tables.LABELLED}


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="in their order")
    parser.add_argument("--kind", choices=SCHEMAS, required=True, help="what kind of table it is")
    parser.add_argument("--table", type=Path, required=True, help="the table, to write")
    args = parser.parse_args()

    schema = SCHEMAS[args.kind]
    if not any(tables.count(path, schema) for path in args.shards):
        raise Fault(f"{args.shards[0]} and the other parts have no rows; those of rejected.csv say why")
    parts = (part for path in args.shards for part in tables.batches(path, schema, schema.names))
    batches = (batch for part in parts for batch in part.to_batches())
    tables.write_batches(args.table, schema, batches)


if __name__ == "__main__":
    run(main)
