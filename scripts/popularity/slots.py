"""Time slots: from a Unix timestamp to its slot's number, and back to the slot's start."""

import numpy as np
import numpy.typing as npt

#: Length in seconds of the slots that all have the same length.
SLOT_SECONDS = {"hour": 3_600, "day": 86_400, "week": 604_800, "year": 31_536_000}

#: Every slot that the workflow knows.
SLOTS = ("hour", "day", "week", "month", "year")


def slot_of(timestamps: npt.NDArray[np.int64], slot: str) -> npt.NDArray[np.int32]:
    """Number the slots of Unix timestamps (s, UTC).

    Hours, days, weeks and years are numbered ``ceil(timestamp / length)``, so slot ``k`` holds the
    seconds after ``(k - 1) * length`` up to and with ``k * length``. A month is the calendar month,
    January 1970 being 1.
    """
    if slot == "month":
        months = timestamps.astype("datetime64[s]").astype("datetime64[M]")
        return months.astype(np.int32) + np.int32(1)
    length = SLOT_SECONDS[slot]
    return ((timestamps + (length - 1)) // length).astype(np.int32)


def slot_start(numbers: npt.NDArray[np.integer], slot: str) -> npt.NDArray[np.datetime64]:
    """Date and time (UTC, to the second) at which the slots of these numbers begin."""
    if slot == "month":
        return (numbers.astype(np.int64) - 1).astype("datetime64[M]").astype("datetime64[s]")
    return ((numbers.astype(np.int64) - 1) * SLOT_SECONDS[slot]).astype("datetime64[s]")
