"""Addresses of data: completed with secrets of the environment, shown without them."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from popularity.program import Fault

_VARIABLE = re.compile(r"\$\{(\w+)\}")
#: Names, in the query of an address, whose values let somebody in.
_SECRET_NAME = re.compile(
    r"(?i)api_?key|access_?key|credential|passw|secret|signature|token|authorization"
    r"|(^|[^a-z])(auth|key|pwd|sas|sig)$"
)
#: Secrets as short as this are parts of other words.
_SHORT = 2


def is_address(url: str) -> bool:
    """Tell an address, which may be a variable of the environment, from a local path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/|\$\{", url) is not None


def _parts(url: str) -> tuple[str, str, str]:
    """Divide an address: all up to its slashes, name and password, and the rest."""
    scheme, slashes, rest = url.partition("//")
    if not slashes or not is_address(url):
        return "", "", url
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    # A password with a / or ? in it looks like a port that is no number.
    odd_port = re.search(r":(?!\d*$)[^\]]*$", host)
    if "@" in host or (odd_port and "@" in rest):
        user, _, rest = rest.rpartition("@")
        return scheme + slashes, user, rest
    return scheme + slashes, "", rest


def shown(url: str) -> str:
    """Give an address as logs and messages may show it: without name and password, and its query."""
    scheme, _, rest = _parts(url)
    return scheme + (re.sub(r"([?#]).*", r"\1***", rest, flags=re.DOTALL) if scheme else rest)


def completed(url: str, environment: Mapping[str, str]) -> str:
    """Fill in the variables of an address, ``${NAME}``; in name and password any signs are allowed.

    Raises
    ------
    Fault
        If a variable is not set.
    """
    scheme, user, rest = _parts(url)
    if not is_address(url):
        return url
    for name in _VARIABLE.findall(url):
        if not environment.get(name):
            raise Fault(f"the environment variable {name} is not set")
    user = _VARIABLE.sub(lambda match: quote(environment[match[1]], safe=""), user)
    rest = _VARIABLE.sub(lambda match: environment[match[1]], rest)
    return f"{scheme}{user}@{rest}" if user else scheme + rest


def without_secrets(text: str, url: str) -> str:
    """Take out of a text what may be secret in this address, and in any other."""
    _, user, rest = _parts(url)
    query = re.split(r"[?#]", rest, maxsplit=1)[1:]
    values = [value for part in query for value in (part, *re.split("[&;=]", part))]
    # Of a password that is not written as it should be, what comes before a sign is an own part.
    secrets = {user, *re.split("[:/?#@]", user), *user.split(":"), *values} - {""}
    secrets |= {unquote(secret) for secret in secrets}
    text = text.replace(url, shown(url))
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) > _SHORT:
            text = text.replace(secret, "***")
    text = re.sub(r"(://)[^\s/'\"]*@", r"\1", text)
    return re.sub(r"(?<=[\w/])\?[^\s'\"<>()]+", "?***", text)


def written_secrets(config: Any) -> list[str]:
    """Find the addresses of a configuration's datasets that hold secrets: a line for each.

    Settings are shown, and kept beside the results: no secret is to be in them.
    """
    datasets = config.get("datasets") if isinstance(config, Mapping) else None
    faults = []
    for name, entry in datasets.items() if isinstance(datasets, Mapping) else ():
        url = entry.get("url") if isinstance(entry, Mapping) else None
        if not isinstance(url, str):
            continue
        _, user, rest = _parts(url)
        query = re.split(r"[?#]", rest, maxsplit=1)[1:]
        pairs = [pair.partition("=") for part in query for pair in re.split("[&;#]", part)]
        held = [key for key, _, value in pairs if _SECRET_NAME.search(key) and _VARIABLE.sub("", value)]
        if _VARIABLE.sub("", user).strip(":"):
            held.insert(0, "a name or password")
        if held and is_address(url):
            faults.append(
                f"datasets.{name}.url: {shown(url)} holds {held[0]}, which would be shown with the "
                "settings; write it as ${NAME} and set that variable of the environment, or let "
                "~/.netrc name user and password"
            )
    return faults
