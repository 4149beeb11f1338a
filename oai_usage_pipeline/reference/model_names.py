"""Which models a meter of Azure's price list means: its words -> the names that responses and people use.

Facts only, by hand, as the price list abbreviates names and leaves out years. Names are exact where the
meter names a version; where it names none, the undated name and any dated version (`-20??-??-??`).
Meters are taken apart in `meters`.
"""

SPELLINGS = {
    "gpt 35 turbo 16k 0125": ("gpt-35-turbo-0125", "gpt-3.5-turbo-0125", "gpt-35-turbo", "gpt-3.5-turbo"),
    "gpt 35 trb 16k 125": ("gpt-35-turbo-0125", "gpt-3.5-turbo-0125", "gpt-35-turbo", "gpt-3.5-turbo"),
    "gpt 35 turbo 16k 1106": ("gpt-35-turbo-1106", "gpt-3.5-turbo-1106"),
    "gpt 35 trb 16k": ("gpt-35-turbo-1106", "gpt-3.5-turbo-1106"),
    "gpt 35 turbo 16k": (
        "gpt-35-turbo-16k",
        "gpt-3.5-turbo-16k",
        "gpt-35-turbo-16k-0613",
        "gpt-3.5-turbo-16k-0613",
    ),
    "gpt 35 turbo 4k": (
        "gpt-35-turbo-0301",
        "gpt-3.5-turbo-0301",
        "gpt-35-turbo-0613",
        "gpt-3.5-turbo-0613",
    ),
    "gpt 35 turbo instruct": (
        "gpt-35-turbo-instruct",
        "gpt-3.5-turbo-instruct",
        "gpt-35-turbo-instruct-0914",
        "gpt-3.5-turbo-instruct-0914",
    ),
    "gpt 4 8k": ("gpt-4", "gpt-4-0314", "gpt-4-0613"),
    "gpt 4 32k": ("gpt-4-32k", "gpt-4-32k-0314", "gpt-4-32k-0613"),
    "gpt 4 turbo 128k": (
        "gpt-4-turbo",
        "gpt-4-turbo-2024-04-09",
        "gpt-4-0125-preview",
        "gpt-4-1106-preview",
    ),
    "gpt 4 turbo vision 128k": ("gpt-4-vision-preview", "gpt-4-1106-vision-preview"),
    "embedding ada": ("text-embedding-ada-002", "text-embedding-ada-002-v2", "ada"),
    "computer use": ("computer-use-preview", "computer-use-preview-2025-03-11"),
    "babbage 002 base": ("babbage-002",),
    "davinci 002 base": ("davinci-002",),
    "tts": ("tts", "tts-1"),
    "tts hd": ("tts-hd", "tts-1-hd"),
    "whisper": ("whisper", "whisper-1"),
    "dall e 3": ("dall-e-3",),
    "dall e 2": ("dall-e-2",),
}
"""Words of a meter -> names. The batch meters `trb16K` are half of 1106's prices, so that is what they mean.

From https://learn.microsoft.com/azure/ai-services/openai/concepts/models and recorded responses.
"""

BASES = {
    "gpt 4.5": "gpt-4.5-preview",
    "gpt 4o audio": "gpt-4o-audio-preview",
    "gpt 4o mini audio": "gpt-4o-mini-audio-preview",
    "gpt 4o realtime": "gpt-4o-realtime-preview",
    "gpt 4o mini realtime": "gpt-4o-mini-realtime-preview",
    "gpt 4o tcrb d": "gpt-4o-transcribe-diarize",
    "oss 120b": "gpt-oss-120b",
}
"""Words of a meter -> undated name, where joining the words doesn't give it."""

VERSION_YEARS = {
    "gpt-4o": {"0513": 2024, "0806": 2024, "1120": 2024},
    "gpt-4o-mini": {"0718": 2024},
    "gpt-4o-audio-preview": {"1217": 2024, "0603": 2025},
    "gpt-4o-mini-audio-preview": {"1217": 2024},
    "gpt-4o-realtime-preview": {"1001": 2024, "1217": 2024, "0603": 2025},
    "gpt-4o-mini-realtime-preview": {"1217": 2024},
    "gpt-4o-mini-transcribe": {"1215": 2025},
    "gpt-4o-mini-tts": {"1215": 2025},
    "gpt-4.5-preview": {"0227": 2025},
    "gpt-5.2-chat": {"0210": 2026},
    "gpt-audio": {"0828": 2025},
    "gpt-audio-mini": {"1215": 2025},
    "gpt-realtime": {"0828": 2025},
    "gpt-realtime-mini": {"1215": 2025},
    "o1": {"1217": 2024},
    "o3": {"0416": 2025},
    "o3-mini": {"0131": 2025},
    "o3-deep-research": {"0626": 2025},
    "o4-mini": {"0416": 2025},
}
"""The year that a meter's month and day leave out. Unknown ones match any year of this century."""

DEFAULT_VERSIONS = {
    "gpt-4o": "0806",
    "gpt-4o-mini": "0718",
    "gpt-4o-audio-preview": "1217",
    "gpt-4o-mini-audio-preview": "1217",
    "gpt-4o-realtime-preview": "1217",
    "gpt-4o-mini-realtime-preview": "1217",
    "gpt-4.5-preview": "0227",
    "gpt-audio": "0828",
    "gpt-realtime": "0828",
    "o1": "1217",
    "o3": "0416",
    "o3-mini": "0131",
    "o3-deep-research": "0626",
    "o4-mini": "0416",
}
"""Which version's price an undated name has, where every meter names a version."""

FURTHER_NAMES = {
    "gpt-5-chat": "gpt-5-chat-latest",
    "gpt-5.1-chat": "gpt-5.1-chat-latest",
    "gpt-5.2-chat": "gpt-5.2-chat-latest",
    "gpt-5.3-chat": "gpt-5.3-chat-latest",
    "gpt-5.6-sol": "gpt-5.6",
    "codex-mini": "codex-mini-latest",
}
"""Names that responses give beside the one that the model is deployed under."""


def model_names(words: str, version: str | None) -> tuple[str, ...]:
    """The names, in lower case, that a meter's words and its version (month and day) stand for."""
    whole = f"{words} {version}" if version else words
    if whole in SPELLINGS:
        return SPELLINGS[whole]
    base = BASES.get(words) or _joined(words)
    if version is None:
        further = FURTHER_NAMES.get(base)
        return (base, f"{base}-20??-??-??", *([further] if further else []))
    year = VERSION_YEARS.get(base, {}).get(version, "20??")
    dated = f"{base}-{year}-{version[:2]}-{version[2:]}"
    return (dated, base) if DEFAULT_VERSIONS.get(base) == version else (dated,)


def _joined(words: str) -> str:
    joined = words.replace(" ", "-")
    return f"gpt-{joined}" if joined[0].isdigit() else joined
