"""What the columns of a log stand for, and what a value of each must be."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from popularity.log.pieces import MISSING, Wanted, parse_texts
from popularity.log.times import DECIMAL_COMMA, NUMBER, TOO_LATE, UNITS, TimeFormat
from popularity.tables import array, numbers
from popularity.zones import Zone

#: What a request log may tell of each request.
ROLES = ("user", "item", "rating", "time", "count", "size")

#: Largest id of MovieLens.
LARGEST_ID = 2**31 - 1

_DIGITS = re.compile("0*([0-9]{1,18})")
_NOT_UTF8 = re.compile("[\udc80-\udcff]")

_TEXT = pa.dictionary(pa.int32(), pa.string())


class Role(ABC):
    """What a column is taken for.

    Attributes
    ----------
    name
        What messages call it.
    type, patterns
        What its texts are read as: see :class:`pieces.Wanted`.
    """

    name: str
    type: pa.DataType
    patterns: tuple[str, ...] = ()

    @abstractmethod
    def checked(self, values: pa.Array) -> pa.Array:
        """Give the values as they are kept.

        Raises
        ------
        pyarrow.ArrowInvalid
            If one is not as it must be.
        """

    @abstractmethod
    def why_not(self, text: str) -> str | None:
        """Why a text is no such value; None if nothing looks wrong."""

    def _as_type(self, values: pa.Array) -> pa.Array:
        """Bring values of another type, as a file that has types gives them, to this role's."""
        if values.type == self.type:
            return values
        if _is_text(values.type):
            return parse_texts(values, Wanted(0, self.type, self.patterns))
        if pa.types.is_floating(values.type):
            # What is no number stands for a missing value in tables of pandas.
            missing = np.isnan(values.to_numpy(zero_copy_only=False).astype(np.float64))
            values = pa.array(values.to_numpy(zero_copy_only=False), values.type, mask=missing)
        return values.cast(self.type)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


class WholeNumber(Role):
    """An id of MovieLens."""

    type = pa.int32()

    def __init__(self, name: str) -> None:
        self.name = name

    def checked(self, values: pa.Array) -> pa.Array:
        """Ids from 0, int32."""
        values = self._as_type(values)
        # A missing one makes the least not a number, which fails the test, too.
        if len(values) and not numbers(values).min() >= 0:
            raise pa.ArrowInvalid("an id is negative or missing")
        return values

    def why_not(self, text: str) -> str | None:
        """Name the rule that a text breaks."""
        if not (text := text.strip(" \t")):
            return "is missing"
        return ID_RULE if whole_id(text) is None else None


ID_RULE = f"must be a whole number from 0 to {LARGEST_ID}"


def whole_number(text: str) -> int | None:
    """Give a number of digits alone; None if it is none, or too long to be any of ours."""
    # Python reads no number of more than 4300 digits, be they zeros.
    digits = _DIGITS.fullmatch(text)
    return int(digits[1]) if digits else None


def whole_id(text: str) -> int | None:
    """Give an id of MovieLens by its text; None if it is none."""
    number = whole_number(text)
    return number if number is not None and number <= LARGEST_ID else None


class Stars(Role):
    """A rating of MovieLens, from 0.5 to 5."""

    name, type = "rating", pa.float32()

    def checked(self, values: pa.Array) -> pa.Array:
        """Ratings, float32."""
        values = self._as_type(values)
        stars = numbers(values)
        # One that is missing or no number makes both not a number, which fails the test.
        if len(stars) and not (stars.min() >= 0.5 and stars.max() <= 5):
            raise pa.ArrowInvalid("a rating is out of its range")
        return values

    def why_not(self, text: str) -> str | None:
        """Name the rule that a text breaks."""
        if not (text := text.strip(" \t")):
            return "is missing"
        good = 0.5 <= _float32(text) <= 5
        return None if good else "must be a number from 0.5 to 5"


class Seconds(Role):
    """A time of MovieLens, in whole seconds since 1970."""

    name, type = "timestamp", pa.int64()

    def checked(self, values: pa.Array) -> pa.Array:
        """Seconds, int64."""
        values = self._as_type(values)
        times = numbers(values)
        if len(times) and not (times.min() >= 0 and times.max() < TOO_LATE):
            raise pa.ArrowInvalid("a time is out of its range")
        return values

    def why_not(self, text: str) -> str | None:
        """Name the rule that a text breaks."""
        if not (text := text.strip(" \t")):
            return "is missing"
        if (time := whole_number(text)) is not None and time < TOO_LATE:
            return None
        hint = "; it looks like milliseconds: divide by 1000"
        rule = "must be whole seconds since 1970 (UTC), before the year 2200"
        return rule + (hint if re.fullmatch(r"[0-9]{12,14}", text) else "")


class Time(Role):
    """A time of another log, as it was found or set."""

    name = "time"

    def __init__(self, how: TimeFormat, zone: Zone | None) -> None:
        self.how, self._zone = how, zone
        self.type, self.patterns = how.type, how.patterns
        if how.fraction:
            self.type, self.patterns = pa.string(), ()

    def checked(self, values: pa.Array) -> pa.Array:
        """Seconds since 1970 (UTC), int64."""
        return array(self.how.seconds(values, self._zone))

    def why_not(self, text: str) -> str | None:
        """Name the rule that a text breaks."""
        if not text.strip():
            return "is missing"
        try:
            self.checked(pa.array([text]))
        except pa.ArrowInvalid:
            return (
                f"is not as the log's other times, {self.how.name}, or is before 1700 or after 2199 (set"
                f" `time_format` if that is wrong: {', '.join(UNITS)}, or a pattern of strptime)"
            )
        return None


class Id(Role):
    """An id of another log, kept as its text; blanks around it are no part of it.

    Parameters
    ----------
    needed
        Whether each row must have one.
    """

    type = _TEXT

    def __init__(self, name: str, *, needed: bool) -> None:
        self.name, self._needed = name, needed

    def checked(self, values: pa.Array) -> pa.Array:
        """Ids as a dictionary of texts, where an empty one, or null, is missing, or of whole numbers."""
        if not _is_text(values.type):
            values = _encoded(values)
            if pa.types.is_integer(values.type.value_type):
                if self._needed and values.null_count:
                    raise pa.ArrowInvalid("an id is missing")
                return values
        if not pa.types.is_dictionary(values.type):
            values = values.cast(pa.string()).dictionary_encode()
        if values.type != _TEXT:
            values = values.cast(_TEXT)
        if self._needed and (
            values.null_count or not all(text.strip() for text in values.dictionary.to_pylist())
        ):
            raise pa.ArrowInvalid("an id is missing")
        return values

    def why_not(self, text: str) -> str | None:
        """Name the rule that a text breaks."""
        if not text.strip():
            return "is missing" if self._needed else None
        return NOT_UTF8 if not_utf8(text) else None


NOT_UTF8 = "is not UTF-8: save the file as UTF-8, or name its `encoding`"


def not_utf8(text: str) -> bool:
    """Whether bytes of a text were not UTF-8."""
    return bool(_NOT_UTF8.search(text))


def _encoded(values: pa.Array) -> pa.DictionaryArray:
    """Ids of another type as whole numbers, or else as texts.

    Numbers that pandas made fractions of for missing ones are whole.
    """
    if pa.types.is_integer(values.type):
        return values.dictionary_encode()
    if pa.types.is_floating(values.type):
        floats = values.to_numpy(zero_copy_only=False).astype(np.float64)
        missing = np.isnan(floats)
        whole = np.where(missing, 0, floats)
        if (whole == np.round(whole)).all() and (np.abs(whole) < 2**53).all():
            return pa.array(whole.astype(np.int64), mask=missing).dictionary_encode()
    if pa.types.is_binary(values.type):
        raise pa.ArrowInvalid("bytes are no text")
    encoded = values.dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices, encoded.dictionary.cast(pa.string()))


class Rating(Role):
    """A rating of another log: any number, or none."""

    name, type = "rating", pa.float32()

    def checked(self, values: pa.Array) -> pa.Array:
        """Ratings, float32, null where there is none."""
        if not _is_text(values.type) and pa.types.is_floating(values.type) is False:
            values = values.cast(pa.float64())
        if values.type == pa.float64():
            values = values.cast(pa.float32(), safe=False)
        values = self._as_type(values)
        # Not a number stands for none in tables of pandas, and is no rating in a text.
        if len(values) and not np.isfinite(numbers(values.drop_null())).all():
            raise pa.ArrowInvalid("a rating is not finite")
        return values

    def why_not(self, text: str) -> str | None:
        """Name the rule that a text breaks."""
        if text in MISSING or np.isfinite(_float32(text.strip(" \t"))):
            return None
        return "must be a finite number" + decimal_comma(text)


class Whole(Role):
    """A whole number that is not negative: how many requests a row stands for, or an item's bytes."""

    type = pa.int64()

    def __init__(self, name: str, most: int, *, needed: bool) -> None:
        self.name, self._most, self._needed = name, most, needed

    def checked(self, values: pa.Array) -> pa.Array:
        """Numbers, int64, null where there is none."""
        values = self._as_type(values)
        if self._needed and values.null_count:
            raise pa.ArrowInvalid(f"a {self.name} is missing")
        found = numbers(values.drop_null())
        if len(found) and not (found.min() >= 0 and found.max() <= self._most):
            raise pa.ArrowInvalid(f"a {self.name} is out of its range")
        return values

    def why_not(self, text: str) -> str | None:
        """Name the rule that a text breaks."""
        if text in MISSING:
            return "is missing" if self._needed else None
        number = whole_number(text.strip(" \t"))
        if number is not None and number <= self._most:
            return None
        return f"must be a whole number from 0 to {self._most}" + decimal_comma(text)


def decimal_comma(text: str) -> str:
    """Give a hint, if a text looks like a number with a decimal comma."""
    return "; write a decimal point, not a comma" if DECIMAL_COMMA.fullmatch(text) else ""


def _float32(text: str) -> np.float32:
    with np.errstate(over="ignore"):
        return np.float32(text if re.fullmatch(NUMBER, text) else np.nan)


def movielens() -> dict[str, Role]:
    """Give the roles of MovieLens' columns."""
    return {
        "user": WholeNumber("userId"),
        "item": WholeNumber("movieId"),
        "rating": Stars(),
        "time": Seconds(),
    }


def of_log(given: Sequence[str], time: Role) -> dict[str, Role]:
    """Give the roles of another log's columns, those that are given."""
    roles = {
        "user": Id("user", needed=False),
        "item": Id("item", needed=True),
        "rating": Rating(),
        "time": time,
        "count": Whole("count", 2**31 - 1, needed=True),
        "size": Whole("size", 2**53, needed=False),
    }
    return {role: kind for role, kind in roles.items() if role in given}
