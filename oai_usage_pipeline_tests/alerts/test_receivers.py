"""Messages arrive at real receivers as they are, and nothing shows where they were sent."""

import logging
from collections.abc import Iterator
from logging.handlers import BufferingHandler
from pathlib import Path

import pytest
from pydantic import SecretStr

from oai_usage_pipeline.alerts.message import Message
from oai_usage_pipeline.alerts.receivers import NotDelivered, receivers
from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline_tests.alerts.local_receivers import certificate_for_loopback, mailbox, webhook

MESSAGE = Message(
    "oai-usage: 1 new",
    "BEGAN  a, since now\n[click](http://evil) <b>x</b> & 3_4_5\n\nNext: status",
    is_bad=True,
)
SECRET = "s3cr3t-s3cr3t-s3cr3t"


@pytest.fixture
def logged() -> Iterator[BufferingHandler]:
    """What comes to the root logger; caplog would listen to loggers that keep theirs, too."""
    handler = BufferingHandler(1000)
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def tell(address: str, message: Message = MESSAGE) -> None:
    for each in receivers(SecretStr(address)):
        each.tell(message)


def test_a_webhook_gets_the_message_as_it_is() -> None:
    with webhook() as kept:
        tell(f"json://{kept.address}/{SECRET}")
    [body] = kept.bodies
    assert (body["title"], body["message"], body["type"]) == (MESSAGE.title, MESSAGE.body, "failure")
    assert kept.paths == [f"/{SECRET}"]


def test_teams_gets_a_card_in_which_words_of_others_are_no_markup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = certificate_for_loopback(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with webhook(certificate) as kept:
        tell(f"workflows://{kept.address}/643e69f83c8944/{SECRET}")
    card = str(kept.bodies)
    assert "AdaptiveCard" in card
    assert MESSAGE.title in card
    assert "[click](" not in card
    assert "image" not in card.lower()
    assert kept.paths[0].startswith("/workflows/643e69f83c8944/triggers/manual/paths/invoke?")
    assert f"sig={SECRET}" in kept.paths[0]


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    with webhook(certificate_for_loopback(tmp_path)) as kept, pytest.raises(NotDelivered):
        tell(f"jsons://{kept.address}/{SECRET}")
    assert kept.bodies == []


def test_a_mail_has_the_title_as_its_subject_and_words_of_others_as_text() -> None:
    with mailbox() as kept:
        tell(f"mailto://{kept.address}?from=usage@contoso.com&to=ada@contoso.com,bob@contoso.com")
    assert [each["Subject"] for each in kept.mails] == [MESSAGE.title] * 2
    assert {each["To"] for each in kept.mails} == {"ada@contoso.com", "bob@contoso.com"}
    assert kept.mails[0].get_content_type() == "text/plain"
    assert kept.mails[0].get_content().splitlines() == MESSAGE.body.splitlines()


def test_the_address_of_a_teams_workflow_is_taken_as_it_was_copied() -> None:
    copied = (
        "https://prod-01.westeurope.logic.azure.com:443/workflows/643e69f83c8944/triggers/manual/paths/invoke"
        f"?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={SECRET}"
    )
    [teams] = receivers(SecretStr(copied))
    assert teams.name == "1 (https)"
    assert SECRET not in repr(teams)


@pytest.mark.parametrize("between", [" ", ", ", ",", "\n"])
def test_several_receivers_are_told_apart_by_number(between: str) -> None:
    found = receivers(SecretStr(f" json://127.0.0.1/a{between}mailto://h?from=a@b.de&to=c@d.de,e@f.de "))
    assert [each.name for each in found] == ["1 (json)", "2 (mailto)"]
    assert receivers(None) == []


@pytest.mark.parametrize(
    "wrong",
    [SECRET, f"foo://{SECRET}", f"https://contoso.com/{SECRET}", f"workflows://h/{SECRET}", "json://"],
)
def test_an_address_that_nobody_knows_is_refused_and_not_shown(wrong: str, logged: BufferingHandler) -> None:
    with pytest.raises(ConfigurationError, match="OAI_USAGE_ALERT_URLS: address 2 is none") as refused:
        receivers(SecretStr(f"json://127.0.0.1/a {wrong}"))
    assert SECRET not in str(refused.value)
    assert logged.buffer == []


def test_what_a_receiver_answers_is_told_and_its_address_is_nowhere(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with webhook() as kept:
        kept.status = 401
        with pytest.raises(NotDelivered) as refused:
            tell(f"json://user:{SECRET}@{kept.address}/{SECRET}?+X-Key={SECRET}")
    with pytest.raises(NotDelivered) as gone:
        tell(f"json://{kept.address}/{SECRET}")
    assert "receiver 1 (json) of OAI_USAGE_ALERT_URLS was not told: it answered 401" in str(refused.value)
    assert "it can't be reached" in str(gone.value)
    shown = "".join([str(refused.value), str(gone.value), caplog.text, *capfd.readouterr()])
    assert SECRET not in shown
    assert SECRET not in repr((refused.value.__context__, gone.value.__context__))


def test_a_redirection_is_not_followed() -> None:
    with webhook() as elsewhere, webhook() as kept:
        kept.status, kept.location = 307, f"http://{elsewhere.address}/"
        with pytest.raises(NotDelivered, match="answered 307"):
            tell(f"json://{kept.address}/")
    assert elsewhere.bodies == []
