"""Delivery of messages through Apprise: mail, Teams, webhooks and whatever else it knows.

Belongs here: the one place that sees the addresses. They carry credentials, so nothing of them leaves it: a
receiver is named by its number in the setting and its kind.
"""

import logging
import re
from dataclasses import dataclass, field

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType
from apprise.plugins import NotifyBase
from pydantic import SecretStr

from oai_usage_pipeline.alerts.message import Message
from oai_usage_pipeline.errors import ConfigurationError, PipelineError

DEADLINE_SECONDS = 20


class NotDelivered(PipelineError):
    """A receiver didn't take a message."""


@dataclass(frozen=True)
class Receiver:
    """Somebody to tell; `name` shows nothing of the address."""

    name: str
    _service: NotifyBase = field(repr=False)

    def tell(self, message: Message) -> None:
        """Deliver within 20 s; raises NotDelivered."""
        _say_nothing()
        to = Apprise(self._service, asset=_asset())
        kind = NotifyType.FAILURE if message.is_bad else NotifyType.SUCCESS
        done = to.notify(
            message.body, message.title, kind, body_format=NotifyFormat.TEXT, timeout=DEADLINE_SECONDS
        )
        if not done:
            said = [found[1] for each in done.logs() if (found := re.search(r"\berror=(\d+)", each.message))]
            reason = f"it answered {said[-1]}" if said else "it can't be reached or refused the message"
            raise NotDelivered(
                f"The receiver {self.name} of OAI_USAGE_ALERT_URLS was not told: {reason}. Check its address "
                "there, then call `oai-usage alerts --test`"
            )


def receivers(addresses: SecretStr | None) -> list[Receiver]:
    """The receivers that the setting names, none if it isn't set.

    Raises ConfigurationError for an address that Apprise can't read, without showing it.
    """
    if addresses is None:
        return []
    _say_nothing()
    found = re.split(r",?\s+|,(?=\w+://)", addresses.get_secret_value().strip())
    return [_receiver(number, each) for number, each in enumerate(found, start=1)]


def _receiver(number: int, address: str) -> Receiver:
    service = Apprise.instantiate(address, asset=_asset())
    if service is None:
        raise ConfigurationError(
            f"OAI_USAGE_ALERT_URLS: address {number} is none that Apprise knows. Expected are addresses such "
            "as mailtos://user:password@host?to=somebody@contoso.com, that of a Teams workflow as it was "
            "copied, or jsons://host/path, separated by spaces (docs/ALERTS.md)"
        )
    return Receiver(f"{number} ({address.partition('://')[0]})", service)


def _asset() -> AppriseAsset:
    # A redirection would take credentials elsewhere, an image would be fetched from a third party.
    return AppriseAsset(
        app_id="oai-usage",
        app_desc="oai-usage",
        app_url="",
        async_mode=False,
        http_redirects=False,
        image_url_mask="",
        image_url_logo="",
        image_path_mask="",
    )


def _say_nothing() -> None:
    """Keep addresses out of logs: both write them at DEBUG, and Apprise names hosts when it warns."""
    logging.getLogger("apprise").setLevel(logging.WARNING)
    logging.getLogger("apprise").propagate = False
    logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)
