"""What a log's items and requests are called: texts of ours, which speak of movies and requests, put so."""

import re
from dataclasses import dataclass

from popularity.settings.datasets import Words

_ITEM, _REQUEST = "movie", "request"
_WORD = re.compile(rf"(?<![{{\w])({_ITEM}|{_REQUEST})(s?)(?![}}\w])", re.IGNORECASE)


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

    words: Words

    def __call__(self, text: str) -> str:
        """Put a text of ours in these words; capitals stay, and names of places ({movies})."""
        if self.words == Words():
            return text

        def put(match: re.Match[str]) -> str:
            word = self.words.item if match[1].lower() == _ITEM else self.words.request
            word = plural(word) if match[2] else word
            return word[0].upper() + word[1:] if match[1][0].isupper() else word

        return _WORD.sub(put, text)
