"""Replay the test slots' requests against caches that react to each: see ``simulate_cache``."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import popularity.start

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from popularity import caches, tables
from popularity.program import run
from popularity.replays import Replay, Sizes, add_requests, read_requests, sizes_of

#: By policy and share of the catalogue: hits of each test slot, and their sizes, [test slots, 2].
Hits = dict[tuple[str, float], npt.NDArray[np.int64]]


def replay_policies(
    replay: Replay, sizes: Sizes, policies: Sequence[str], folder: Path, threads: int
) -> Hits:
    """Replay the requests against a cache of each policy and size.

    Parameters
    ----------
    policies
        Of :data:`caches.REACTIVE`. One that libcachesim can't run with so few movies is left out.
    folder
        For temporary files: 24 bytes a request.
    """
    if not policies or not caches.can_react():
        return {}
    trace = folder / "requests.bin"
    caches.write_trace(trace, replay.movie, replay.sizes)
    pool = caches.Pool(threads)
    meanings = {}
    for policy in policies:
        for share, size in zip(sizes.shares, sizes.reactive, strict=True):
            if size >= replay.mean_size * caches.REACTIVE[policy].fewest:
                name = f"{policy}, {share:.4g}"
                meanings[name] = policy, share
                pool.submit(name, caches.Run.of(policy, size, trace, replay).hits)
    return {meanings[name]: hits for name, hits in pool.results()}


def table_of(found: Hits, slots: npt.NDArray[np.integer]) -> pa.Table:
    """Make a table of :data:`tables.HITS`."""
    parts = [
        {
            "policy": pa.repeat(policy, len(slots)),
            "size": pa.repeat(share, len(slots)),
            "slot": pa.array(slots.astype(np.int32)),
            "hits": pa.array(hits[:, 0]),
            "volume": pa.array(hits[:, 1]),
        }
        for (policy, share), hits in found.items()
    ]
    made = [pa.table(part, schema=tables.HITS) for part in parts]
    return pa.concat_tables([tables.HITS.empty_table(), *made])


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_requests(parser)
    parser.add_argument(
        "--sizes", type=float, nargs="+", required=True, help="shares of the catalogue that caches hold"
    )
    parser.add_argument("--policies", nargs="*", default=[], choices=caches.REACTIVE, help="their policies")
    parser.add_argument("--hits", type=Path, required=True, help="to write: a row a cache and slot")
    args = parser.parse_args()

    series, replay = read_requests(args)
    sizes = sizes_of(series, replay, args.sizes)
    del series
    with tempfile.TemporaryDirectory() as folder:
        found = replay_policies(replay, sizes, args.policies, Path(folder), args.threads)
    tables.write(args.hits, table_of(found, replay.slots))


if __name__ == "__main__":
    run(main)
