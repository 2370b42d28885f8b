"""What a log's items and requests are called: texts of ours, which speak of movies and requests, put so."""

import argparse
import re
from dataclasses import dataclass, field

from popularity.settings.datasets import Words
from popularity.settings.fields import json_argument

_ITEM, _REQUEST = "movie", "request"
_WORD = re.compile(rf"(?<![{{\w-])(a )?({_ITEM}|{_REQUEST})(s?)(?![}}\w-])", re.IGNORECASE)
#: Stands at both ends of what is the user's own within a text of ours.
_OWN = "\0"


def own(text: str) -> str:
    """Mark a text as the user's own (a title, a file's name): a wording leaves it as it is."""
    return f"{_OWN}{text.replace(_OWN, ' ')}{_OWN}"


def plural(word: str) -> str:
    """Form the plural of an English noun, as most are."""
    if re.search(r"[^aeiou]y$", word):
        return f"{word[:-1]}ies"
    return f"{word}es" if re.search(r"(s|x|z|ch|sh)$", word) else f"{word}s"


@dataclass(frozen=True)
class Wording:
    """Puts texts in the words of a log.

    Attributes
    ----------
    words
        What the log calls its items and requests.
    """

    words: Words = field(default_factory=Words)

    def __call__(self, text: str) -> str:
        """Put a text of ours in these words; capitals stay, and names of places ({movies})."""

        def put(match: re.Match[str]) -> str:
            article, ours, many = match.groups()
            word = self.words.item if ours.lower() == _ITEM else self.words.request
            word = plural(word) if many else word
            word = word[0].upper() + word[1:] if ours[0].isupper() else word
            if article:
                article = f"{article[0]}{'n' if word[0].lower() in 'aeiou' else ''} "
            return f"{article or ''}{word}"

        parts = text.split(_OWN)
        if self.words != Words():
            parts[::2] = [_WORD.sub(put, part) for part in parts[::2]]
        return "".join(parts)

    def heading(self, column: str) -> str:
        """Put the name of a column of ours in these words."""
        if self.words == Words():
            return column
        if column == "movieId":
            return f"{self.words.item}Id"
        return self(column.replace("_", " ")).replace(" ", "_")


def add_words(parser: argparse.ArgumentParser) -> None:
    """Give a program the option ``--words``."""
    parser.add_argument(
        "--words",
        type=json_argument(Words),
        default=Words(),
        help="what items and requests are called, as JSON (default: movie, request)",
    )
