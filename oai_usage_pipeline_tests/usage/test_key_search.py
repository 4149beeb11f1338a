"""What finds keys in a text, and the question that spares most texts the search, know the same names."""

import pytest

from oai_usage_pipeline.usage.envelope import Envelope
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline.usage.key_search import key_values, names_key

FINGERPRINT = KeyFingerprint(b"pepper")
KEY = "Zx9Qw7Er5Ty3Ui1Op8As6Df4Gh2Jk0Lm"
MARK = FINGERPRINT.of(KEY)

WORDS = (
    *("subscription key", "subscription id", "api key", "x functions key", "authorization", "client secret"),
    *("primary key", "secondary key", "account key", "shared access key", "access token", "refresh token"),
    *("secret", "token", "password", "passwd", "passphrase", "pwd", "Ocp-Apim-Subscription-Key"),
)


def _spellings(words: str) -> set[str]:
    first, *rest = words.split(" ")
    joined = {between.join((first, *rest)) for between in ("", "-", "_")} | {
        first + "".join(map(str.title, rest))
    }
    return {
        changed(name) for name in joined for changed in (str, str.lower, str.upper, str.title, str.capitalize)
    }


NAMES = sorted({name for words in WORDS for name in _spellings(words)})
FORMS = {
    "a field": '{"NAME":"VALUE"}',
    "a field with spaces": '{"NAME" : "VALUE"}',
    "a field of Python": "{'NAME': 'VALUE'}",
    "a field within a text": '{\\"NAME\\":\\"VALUE\\"}',
    "a field by numbers": "{\\u0022NAME\\u0022:\\u0022VALUE\\u0022}",
    "a pair": '{"name":"NAME","value":"VALUE"}',
    "a pair in reverse": '{"value":"VALUE","name":"NAME"}',
    "a pair in reverse and more": '{"value":"VALUE", "name":"NAME", "x":1}',
    "a pair within a text": '{\\"name\\":\\"NAME\\",\\"value\\":\\"VALUE\\"}',
    "a list": '["NAME","VALUE"]',
    "arguments": "h.Add('NAME', 'VALUE')",
    "an array": '{"NAME":["VALUE"]}',
    "an object": '{"NAME":{"a":"VALUE"}}',
    "a variable": "export NAME=VALUE",
    "a line": "NAME: VALUE",
    "a line with a space before": "NAME : VALUE",
    "a line with a space of a page before": "NAME\u00a0: VALUE",
    "a line with such a space, escaped": "NAME\\u00a0: VALUE",
    "a map of Ruby": "{'NAME' => 'VALUE'}",
    "a map of Ruby by number": "{\\u0022NAME\\u0022 =\\u003E \\u0022VALUE\\u0022}",
    "a variable of Go": 'NAME := "VALUE"',
    "an element": "<NAME>VALUE</NAME>",
    "an element within a text": "<NAME>VALUE<\\/NAME>",
    "an element by number": "\\u003CNAME\\u003EVALUE\\u003C/NAME\\u003E",
    "a bold name": "- **NAME**: `VALUE`",
    "a bold name and colon": "**NAME:** VALUE",
    "code": "`NAME`: `VALUE`",
    "code by number": "\\u0060NAME\\u0060: \\u0060VALUE\\u0060",
    "a table": "|a|b|\n|--|--|\n| NAME | VALUE |",
    "a table without spaces": "|NAME|VALUE|",
    "bold code": "**`NAME`**: VALUE",
    "an element of lines": "<NAME>\n  VALUE\n</NAME>",
    "a table of code": "| `NAME` | `VALUE` |",
    "a line of a page": "NAME: VALUE<br>",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_whatever_name_the_search_knows_the_question_knows(form: str) -> None:
    leaks = []
    for name in NAMES:
        text = form.replace("NAME", name).replace("VALUE", KEY)
        plain = text.replace("\\u0022", '\\"').encode()
        if any(plain[value.start : value.end] == KEY.encode() for value in key_values(plain)):
            assert names_key(text), text
        if KEY in str(FINGERPRINT.seal(Envelope("t", None, text)).Request):
            leaks.append(name)
    assert not leaks


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_unreadable_bytes_hide_the_same_keys(form: str) -> None:
    for name in NAMES:
        text = form.replace("NAME", name).replace("VALUE", KEY)
        assert FINGERPRINT.scrub_unreadable(text.encode()).decode() == text.replace(KEY, MARK)
