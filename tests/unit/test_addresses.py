"""Addresses: what is secret in them is never shown, and comes from the environment."""

import pytest

from popularity.addresses import completed, is_address, shown, without_secrets, written_secrets
from popularity.program import Fault

SHOWN = {
    "https://example.org/a.zip": "https://example.org/a.zip",
    "https://me:secret@example.org/a.zip": "https://example.org/a.zip",
    "https://secret@example.org/a.zip": "https://example.org/a.zip",
    "https://me:sec@ret@example.org:8080/a.zip": "https://example.org:8080/a.zip",
    "https://me:sec/r@et@example.org/a.zip": "https://example.org/a.zip",
    "https://me:sec?ret#x@example.org/a.zip": "https://example.org/a.zip",
    "https://me:sec\nret@example.org/a.zip": "https://example.org/a.zip",
    "HTTPS://me:secret@[::1]:80/a.zip": "HTTPS://[::1]:80/a.zip",
    "https://[::1]/a@1.0/b.zip": "https://[::1]/a@1.0/b.zip",
    "https://example.org/a.zip?token=secret&b=1": "https://example.org/a.zip?***",
    "https://example.org/a.zip?secret": "https://example.org/a.zip?***",
    "https://example.org/a.zip#token=secret": "https://example.org/a.zip#***",
    "https://example.org/@scope/a@1.0.zip": "https://example.org/@scope/a@1.0.zip",
    "logs/a?b#c@d.zip": "logs/a?b#c@d.zip",
    "${ADDRESS}": "${ADDRESS}",
}


@pytest.mark.parametrize(("url", "expected"), SHOWN.items())
def test_an_address_is_shown_without_what_may_be_secret(url: str, expected: str) -> None:
    assert shown(url) == expected
    said = f"[Errno 1] of '{url}': Max retries exceeded with url: /a.zip?token=secret (Caused by x)"
    assert "sec" not in without_secrets(said, url).replace("seconds", "")


def test_secrets_come_from_the_environment() -> None:
    environment = {
        "ME": "me",
        "PASSWORD": "p@s/s:?",
        "TOKEN": "a%2Bb",
        "ADDRESS": "https://example.org/?x=1",
    }
    url = "https://${ME}:${PASSWORD}@example.org/a.zip?token=${TOKEN}"
    assert completed(url, environment) == "https://me:p%40s%2Fs%3A%3F@example.org/a.zip?token=a%2Bb"
    assert completed("${ADDRESS}", environment) == "https://example.org/?x=1"
    assert completed("logs/${ME}", environment) == "logs/${ME}"
    assert [is_address(text) for text in ("${ADDRESS}", "http://a", "a/b", "C", "~/x")] == [
        True,
        True,
    ] + 3 * [False]
    with pytest.raises(Fault, match="the environment variable TOKEN is not set"):
        completed(url, {**environment, "TOKEN": ""})


@pytest.mark.parametrize(
    ("url", "held"),
    [
        ("https://me:secret@example.org/a.zip", "a name or password"),
        ("https://secret@example.org/a.zip", "a name or password"),
        ("https://me:sec/ret@example.org/a.zip", "a name or password"),
        ("https://${ME}:secret@example.org/a.zip", "a name or password"),
        ("https://example.org/a.zip?token=secret", "token"),
        ("https://example.org/a.zip?a=1&X-Amz-Signature=secret", "X-Amz-Signature"),
        ("https://example.org/a.zip?apiKey=secret", "apiKey"),
        ("https://example.org/a.zip?key=secret", "key"),
        ("https://example.org/a.zip#access_token=secret", "access_token"),
        ("https://${ME}:${PASSWORD}@example.org/a.zip?token=${TOKEN}", None),
        ("https://example.org/a.zip?id=7&monkey=x&key=", None),
        ("https://example.org/a@1.0.zip", None),
        ("logs/?token=x@y.zip", None),
        (7, None),
    ],
)
def test_a_secret_in_the_settings_is_told_without_it(url: object, held: str | None) -> None:
    told = written_secrets({"datasets": {"own": {"url": url}, "gone": None, "demo": {"simulate": {}}}})
    assert [line.partition(" holds ")[2].partition(",")[0] for line in told] == ([held] if held else [])
    assert "sec" not in "".join(told)


@pytest.mark.parametrize(
    "config", [None, [], {}, {"datasets": None}, {"datasets": []}, {"datasets": {1: "x"}}]
)
def test_settings_of_another_form_hold_no_address(config: object) -> None:
    assert written_secrets(config) == []
