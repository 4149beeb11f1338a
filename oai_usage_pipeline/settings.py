"""Every setting of the pipeline, read from the environment in this one place.

Nothing here is read at import: commands and Dagster resources call `Settings.load()` when they
start to work. Secrets are `SecretStr`, so that they can't be printed by accident.
"""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from oai_usage_pipeline.errors import ConfigurationError

PREFIX = "OAI_USAGE_"

LOCAL_CONNECTION_STRING = (
    "Endpoint=sb://127.0.0.1:5672;SharedAccessKeyName=RootManageSharedAccessKey;"
    "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
)
"""Where `oai-usage broker` listens by default; the key is the emulator's well-known placeholder."""

LOCAL_PEPPER = "local-development-only"

_SECRET = re.compile(r"(?i)\b(shared_?access_?(key|signature)|account_?key|sig|sas_?token|password|pwd)\s*=")
_ADDRESS = re.compile(r"(?i)\s*(\w+://)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d+)?/?\s*")
_MEANINGS = {
    "event_hub_namespace": "a name such as contoso.servicebus.windows.net",
    "lake_uri": "a folder or an abfss:// URI without credentials",
}

SHORTEST_PEPPER = 16
"""Characters; fewer can be guessed."""


class Settings(BaseSettings):
    """The settings table of the README; the embedded default needs none of them."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True, env_ignore_empty=True
    )

    event_hub_connection_string: SecretStr | None = Field(
        default=None,
        description="Connection string with a listen-only key; the embedded default is the local broker",
    )
    event_hub_namespace: str | None = Field(
        default=None,
        description="Fully qualified namespace (`name.servicebus.windows.net`), signed in to with Entra ID",
    )
    event_hub_name: str = Field(
        default="openai-usage", min_length=1, description="The Event Hub that API Management logs to"
    )
    consumer_group: str = Field(
        default="$Default", min_length=1, description="Consumer group; give the pipeline one of its own"
    )
    lake_uri: str = Field(
        default="data/lake",
        min_length=1,
        description="A folder, or an `abfss://` URI; tables lie directly below it",
    )
    reference_folder: str = Field(
        default="reference",
        min_length=1,
        description="A folder with `subscriptions.csv`, `deployments.csv` and `prices.csv`, each optional",
    )
    key_pepper: SecretStr | None = Field(
        default=None,
        description="Secret that keys are fingerprinted with (HMAC-SHA256); required beyond the local broker",
    )
    key_pepper_version: int = Field(
        default=1, ge=1, description="Number of the pepper, kept in each fingerprint (`v1-...`)"
    )
    key_pepper_previous: SecretStr | None = Field(
        default=None,
        description="The pepper before it, of the version before, until every key in use was seen again",
    )

    payloads: Literal["all", "redacted", "accounting"] = Field(
        default="all",
        description="What bronze keeps of requests and responses: `all`, `redacted` (personal data replaced) "
        "or `accounting` (no texts)",
    )
    payload_retention_days: int | None = Field(
        default=None, ge=1, description="Days after which texts are taken out of bronze; none: never"
    )
    history_days: int = Field(
        default=7,
        ge=1,
        description="Days that replaced files and log entries stay: so far back a table tells of changes",
    )
    run_days: int = Field(
        default=3,
        ge=1,
        description="Days that Dagster's runs stay, failed ones ten times as long, latest results for good",
    )
    alert_urls: SecretStr | None = Field(
        default=None,
        description="Who is told when something is wrong: addresses of mail, Teams or webhooks, "
        "separated by spaces",
    )
    alert_minutes: int = Field(
        default=15,
        ge=0,
        description="Minutes that something must be wrong before it is told, and well before its end is",
    )

    @classmethod
    def load(cls) -> "Settings":
        """Read and check the environment; raises ConfigurationError with one line per finding."""
        _refuse_unknown_names(os.environ)
        try:
            return cls()
        except ValidationError as error:
            raise ConfigurationError(_explain(error)) from None

    @model_validator(mode="after")
    def _no_secret_in_the_wrong_place(self) -> "Settings":
        """Every other setting is shown: in messages, in the lake, in Dagster's UI."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, str) and _SECRET.search(value):
                raise ValueError(
                    f"{PREFIX}{name.upper()} holds a connection string or a signature, which is a secret: "
                    f"expected {_MEANINGS.get(name, 'none there')}; a hub's connection string belongs in "
                    f"{PREFIX}EVENT_HUB_CONNECTION_STRING"
                )
        if self.event_hub_namespace and not _ADDRESS.fullmatch(self.event_hub_namespace):
            raise ValueError(
                f"{PREFIX}EVENT_HUB_NAMESPACE is no host name: expected {_MEANINGS['event_hub_namespace']}"
            )
        return self

    @model_validator(mode="after")
    def _one_way_to_the_hub(self) -> "Settings":
        if self.event_hub_connection_string and self.event_hub_namespace:
            raise ValueError(
                f"both {PREFIX}EVENT_HUB_CONNECTION_STRING and {PREFIX}EVENT_HUB_NAMESPACE are set: "
                "keep the namespace to sign in with Entra ID, or the connection string"
            )
        connection_string = self.connection_string
        if connection_string is not None:
            _check_connection_string(connection_string)
        if not self.is_local and self.key_pepper is None:
            raise ValueError(
                f"{PREFIX}KEY_PEPPER is not set: outside the local broker callers' keys are only stored as "
                "fingerprints made with it; set it to a long random secret and keep it"
            )
        _check_peppers(self.key_pepper, self.key_pepper_previous, self.key_pepper_version)
        return self

    @property
    def connection_string(self) -> str | None:
        """The connection string in use, None when Entra ID is used instead."""
        if self.event_hub_connection_string is not None:
            return self.event_hub_connection_string.get_secret_value()
        return None if self.event_hub_namespace else LOCAL_CONNECTION_STRING

    @property
    def is_local(self) -> bool:
        """Whether the hub is a local stand-in, which has no keys worth protecting."""
        return "usedevelopmentemulator=true" in (self.connection_string or "").lower()

    @property
    def namespace(self) -> str:
        """The namespace's host name, the same however it is spelled: positions are kept under it.

        Without a port: a local broker's may change, its events don't.
        """
        if self.event_hub_namespace:
            return _host(self.event_hub_namespace)
        return _host(_parts(self.connection_string or "")["endpoint"])

    @property
    def event_hub(self) -> str:
        """The hub as the tables name it: "namespace/hub"."""
        return f"{self.namespace}/{self.event_hub_name}"

    @property
    def pepper(self) -> bytes:
        """The pepper in use; the local broker's is public, as its keys are made up."""
        secret = self.key_pepper.get_secret_value() if self.key_pepper else LOCAL_PEPPER
        return secret.encode()

    @property
    def previous_pepper(self) -> bytes | None:
        """The pepper of the version before, None when there is none to be known by."""
        return self.key_pepper_previous.get_secret_value().encode() if self.key_pepper_previous else None

    @property
    def lake_location(self) -> str:
        """The lake's URI, a local folder made absolute so that every process means the same one."""
        if "://" in self.lake_uri:
            return self.lake_uri
        return str(Path(self.lake_uri).expanduser().resolve())

    @property
    def reference_location(self) -> Path:
        """The folder of the reference files, absolute; it need not exist."""
        return Path(self.reference_folder).expanduser().resolve()


def environment_names() -> list[str]:
    """The environment variables that exist, in the order of the settings table."""
    return [PREFIX + name.upper() for name in Settings.model_fields]


def _refuse_unknown_names(environment: Mapping[str, str]) -> None:
    known = list(Settings.model_fields)
    for name in (name for name in environment if name.upper().startswith(PREFIX)):
        own = name.removeprefix(PREFIX).lower()
        if own not in known:
            near = difflib.get_close_matches(own, known, n=1)
            hint = f"did you mean {PREFIX}{near[0].upper()}?" if near else f"known are {_listed(known)}"
            raise ConfigurationError(f"Unknown setting {name}: {hint}")


def _listed(names: list[str]) -> str:
    return ", ".join(PREFIX + name.upper() for name in names)


def _explain(error: ValidationError) -> str:
    lines = []
    for found in error.errors(include_url=False, include_input=False):
        where = "".join(f"{PREFIX}{str(part).upper()}: " for part in found["loc"])
        lines.append(where + found["msg"].removeprefix("Value error, "))
    return "\n".join(lines)


def _parts(connection_string: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in connection_string.split(";") if part)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _host(address: str) -> str:
    return address.strip().lower().rpartition("://")[2].split("/")[0].split(":")[0]


def _check_peppers(pepper: SecretStr | None, previous: SecretStr | None, version: int) -> None:
    for name, secret in (("KEY_PEPPER", pepper), ("KEY_PEPPER_PREVIOUS", previous)):
        if secret is not None and len(secret.get_secret_value()) < SHORTEST_PEPPER:
            raise ValueError(
                f"{PREFIX}{name} is shorter than {SHORTEST_PEPPER} characters: use a long random secret"
            )
    if previous is None:
        return
    if pepper is None:
        raise ValueError(
            f"{PREFIX}KEY_PEPPER_PREVIOUS is set, but {PREFIX}KEY_PEPPER isn't: set that to the new pepper"
        )
    if pepper == previous:
        raise ValueError(
            f"{PREFIX}KEY_PEPPER and {PREFIX}KEY_PEPPER_PREVIOUS are the same: set the first to the new "
            "pepper, or leave the second out"
        )
    if version < 2:
        raise ValueError(
            f"{PREFIX}KEY_PEPPER_PREVIOUS is set, but {PREFIX}KEY_PEPPER_VERSION is {version}: a renewed "
            "pepper has the next number, 2 the first time"
        )


def _check_connection_string(connection_string: str) -> None:
    parts = _parts(connection_string)
    if not parts.get("endpoint", "").startswith("sb://"):
        raise ValueError(
            f"{PREFIX}EVENT_HUB_CONNECTION_STRING has no 'Endpoint=sb://...': copy it whole from the "
            "hub's shared access policies"
        )
    has_key = "sharedaccesskey" in parts and "sharedaccesskeyname" in parts
    if not has_key and "sharedaccesssignature" not in parts:
        raise ValueError(
            f"{PREFIX}EVENT_HUB_CONNECTION_STRING has no SharedAccessKeyName and SharedAccessKey: copy "
            "it whole from the hub's shared access policies"
        )
