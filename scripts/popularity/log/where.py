"""Which rows of a log are requests: columns compared with constants."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from popularity.log.pieces import MISSING, Wanted, parse_texts
from popularity.log.times import NUMBER
from popularity.tables import numbers

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_CONDITION = re.compile(r"\s*(<=|>=|!=|==|<|>|=)\s*(.*?)\s*", re.DOTALL)


@dataclass(frozen=True)
class Condition:
    """What a column of a row must be.

    Attributes
    ----------
    column
        Its name.
    compare
        A key of the comparisons; several constants are an alternative, or with ``!=`` all excluded.
    constants
        What it is compared with, as texts.
    numeric
        Whether values are compared as numbers: all constants are numbers.
    """

    column: str
    compare: str
    constants: tuple[str, ...]
    numeric: bool

    @property
    def type(self) -> pa.DataType:
        """What the column's texts are read as."""
        ordered = self.compare in ("<", ">", "<=", ">=")
        return pa.float64() if self.numeric and ordered else pa.string()

    def holds(self, values: pa.Array) -> npt.NDArray[np.bool_]:
        """For which values it holds; for none that is missing, but with ``!=`` for those, too.

        Raises
        ------
        pyarrow.ArrowInvalid
            If a value is no number that is to be less or greater than one.
        """
        if self.type == pa.float64():
            if pa.types.is_string(values.type) or pa.types.is_dictionary(values.type):
                values = parse_texts(values, Wanted(0, pa.float64()))
            found = numbers(values.cast(pa.float64()))
            with np.errstate(invalid="ignore"):
                return np.asarray(_COMPARE[self.compare](found, float(self.constants[0])))
        encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
        known = np.array([self._equals(value) for value in encoded.dictionary.to_pylist()], bool)
        indices = numbers(encoded.indices.fill_null(len(known)))
        equal = np.append(known, False)[indices]
        return np.asarray(~equal if self.compare == "!=" else equal)

    def _equals(self, value: Any) -> bool:
        text = _plain(value)
        if text in self.constants:
            return True
        if not self.numeric or not re.fullmatch(NUMBER, text):
            return False
        return float(text) in [float(constant) for constant in self.constants]

    def why_not(self, text: str) -> str | None:
        """Why a value cannot be compared; None if it can."""
        if self.type == pa.string() or text in MISSING or re.fullmatch(NUMBER, text.strip(" \t")):
            return None
        return f"must be a number, to be {self.compare} {self.constants[0]}"


def condition(column: str, wanted: object) -> Condition:
    """Read a condition: a constant, a list of them, or one after a comparison (``> 0``).

    Raises
    ------
    ValueError
        If it is none of these.
    """
    compare = "="
    if isinstance(wanted, str) and (match := _CONDITION.fullmatch(wanted)):
        compare, wanted = match[1].replace("==", "="), match[2]
    values = wanted if isinstance(wanted, list | tuple) else [wanted]
    constants = tuple(_plain(value) for value in values if isinstance(value, str | int | float))
    if not values or len(constants) < len(values):
        raise ValueError('it must be a constant, a list of them, or a comparison such as "> 0"')
    numeric = all(re.fullmatch(NUMBER, constant) for constant in constants)
    if compare in ("<", ">", "<=", ">=") and not numeric:
        raise ValueError(f"{constants[0]!r} is no number, as {compare} needs")
    return Condition(column, compare, constants, numeric)


def _plain(value: object) -> str:
    """Write a value without blanks around it, and truth as YAML does."""
    text = str(value).strip()
    return text.lower() if text in ("True", "False") else text


def conditions(where: Mapping[str, object]) -> Sequence[Condition]:
    """All conditions on a row, by the column's name or number."""
    return [condition(column, wanted) for column, wanted in where.items()]
