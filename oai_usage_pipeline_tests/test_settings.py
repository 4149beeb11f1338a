"""Settings: read in one place, checked with clear words, secrets never shown."""

import pytest

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.settings import Settings, environment_names

AZURE = "Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=listen;SharedAccessKey=s3cr3tk3y"
PEPPER = "a long random pepper"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment_names():
        monkeypatch.delenv(name, raising=False)


def load(monkeypatch: pytest.MonkeyPatch, **settings: str) -> Settings:
    for name, value in settings.items():
        monkeypatch.setenv(f"OAI_USAGE_{name}", value)
    return Settings.load()


def test_the_embedded_default_needs_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch)
    assert settings.is_local
    assert settings.namespace == "127.0.0.1"
    assert settings.event_hub_name == "openai-usage"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"EVENT_HUB_CONNECTION_STRING": AZURE}, "OAI_USAGE_KEY_PEPPER is not set"),
        ({"EVENT_HUB_NAMESPACE": "contoso.servicebus.windows.net"}, "OAI_USAGE_KEY_PEPPER is not set"),
        (
            {"EVENT_HUB_CONNECTION_STRING": AZURE, "KEY_PEPPER": "short"},
            "OAI_USAGE_KEY_PEPPER is shorter than 16 characters",
        ),
        (
            {
                "EVENT_HUB_CONNECTION_STRING": AZURE,
                "EVENT_HUB_NAMESPACE": "contoso.servicebus.windows.net",
                "KEY_PEPPER": PEPPER,
            },
            "both OAI_USAGE_EVENT_HUB_CONNECTION_STRING and OAI_USAGE_EVENT_HUB_NAMESPACE are set",
        ),
        ({"EVENT_HUB_CONNECTION_STRING": "contoso", "KEY_PEPPER": PEPPER}, "has no 'Endpoint=sb://...'"),
        (
            {"EVENT_HUB_CONNECTION_STRING": "Endpoint=sb://contoso/", "KEY_PEPPER": PEPPER},
            "has no SharedAccessKeyName and SharedAccessKey",
        ),
        ({"KEY_PEPPER_VERSION": "zero"}, "OAI_USAGE_KEY_PEPPER_VERSION: Input should be a valid integer"),
        ({"LAKE": "x"}, "Unknown setting OAI_USAGE_LAKE: did you mean OAI_USAGE_LAKE_URI"),
        ({"COLOUR": "red"}, "Unknown setting OAI_USAGE_COLOUR: known are OAI_USAGE_EVENT_HUB"),
    ],
)
def test_wrong_settings_say_what_is_wrong(
    settings: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(monkeypatch, **settings)
    assert message in str(refused.value)
    assert "s3cr3tk3y" not in str(refused.value)
    assert refused.value.__cause__ is None


SIGNED = "abfss://lake@contoso.dfs.core.windows.net/x?sv=2024&sig=s3cr3tk3y%3D"
TEXTS = [
    name
    for name, field in Settings.model_fields.items()
    if "SecretStr" not in str(field.annotation) and name != "key_pepper_version"
]


@pytest.mark.parametrize("secret", [AZURE, AZURE.lower(), SIGNED, "AccountName=x;AccountKey=s3cr3tk3y"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_secret_in_a_setting_that_is_shown_is_refused_and_not_repeated(
    name: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(monkeypatch, KEY_PEPPER=PEPPER, **{name.upper(): secret})
    assert f"OAI_USAGE_{name.upper()}" in str(refused.value)
    assert "s3cr3tk3y" not in str(refused.value)


@pytest.mark.parametrize("secret", [AZURE, PEPPER])
def test_a_secret_in_place_of_a_number_is_refused_and_not_repeated(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="OAI_USAGE_KEY_PEPPER_VERSION") as refused:
        load(monkeypatch, KEY_PEPPER_VERSION=secret)
    assert secret not in str(refused.value)


@pytest.mark.parametrize("namespace", ["s3cr3tk3y/+a==", "a b", "https://", "-", "contoso;net"])
def test_a_namespace_is_a_host_name(namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="OAI_USAGE_EVENT_HUB_NAMESPACE is no host name") as refused:
        load(monkeypatch, EVENT_HUB_NAMESPACE=namespace, KEY_PEPPER=PEPPER)
    assert "s3cr3tk3y" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"KEY_PEPPER_PREVIOUS": "short"}, "OAI_USAGE_KEY_PEPPER_PREVIOUS is shorter than 16 characters"),
        ({"KEY_PEPPER_PREVIOUS": PEPPER}, "OAI_USAGE_KEY_PEPPER_PREVIOUS are the same"),
        ({"KEY_PEPPER_VERSION": "1"}, "a renewed pepper has the next number, 2 the first time"),
        ({"KEY_PEPPER": ""}, "OAI_USAGE_KEY_PEPPER_PREVIOUS is set, but OAI_USAGE_KEY_PEPPER isn't"),
    ],
)
def test_a_previous_pepper_goes_with_a_new_one_of_a_later_version(
    settings: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = {"KEY_PEPPER": PEPPER, "KEY_PEPPER_VERSION": "2", "KEY_PEPPER_PREVIOUS": "the pepper of before"}
    found = load(monkeypatch, **right)
    assert (found.pepper, found.previous_pepper) == (PEPPER.encode(), b"the pepper of before")
    assert "the pepper of before" not in repr(found)
    with pytest.raises(ConfigurationError) as refused:
        load(monkeypatch, **right | settings)
    assert message in str(refused.value)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, EVENT_HUB_CONNECTION_STRING=AZURE, KEY_PEPPER=PEPPER)
    assert "s3cr3tk3y" not in repr(settings) + str(settings.model_dump())
    assert PEPPER not in repr(settings)
    assert settings.connection_string == AZURE
    assert settings.namespace == "contoso.servicebus.windows.net"
    assert not settings.is_local


def test_a_namespace_is_signed_in_to_without_a_connection_string(monkeypatch: pytest.MonkeyPatch) -> None:
    namespace = "contoso.servicebus.windows.net"
    settings = load(monkeypatch, EVENT_HUB_NAMESPACE=namespace, KEY_PEPPER=PEPPER)
    assert (settings.connection_string, settings.namespace) == (None, namespace)


@pytest.mark.parametrize(
    "spelling",
    [
        "Contoso.ServiceBus.Windows.net",
        "sb://contoso.servicebus.windows.net/",
        "https://contoso.servicebus.windows.net:443/",
    ],
)
def test_a_namespace_is_the_same_however_it_is_spelled(
    spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(monkeypatch, EVENT_HUB_NAMESPACE=spelling, KEY_PEPPER=PEPPER)
    assert settings.namespace == "contoso.servicebus.windows.net"


def test_a_folder_is_the_same_for_every_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert load(monkeypatch, LAKE_URI="lake").lake_location == f"{tmp_path}/lake"
    azure = "abfss://workspace@onelake.dfs.fabric.microsoft.com/lakehouse/Tables"
    assert load(monkeypatch, LAKE_URI=azure).lake_location == azure
