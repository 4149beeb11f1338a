"""Meters of Azure's retail price list, taken apart: model, deployment type, tier, bucket.

Meter names are abbreviated in a dozen ways ("GPT 5 Mini cchd Inpt DZone 1M Tokens", "gpt4omini-aud1217
Inp glbl Tokens"), so each word is looked up, and a name with a word left over is not a price. What can't
be used says why: nothing is guessed and nothing is dropped in silence. Fetching belongs in
`retail_prices`, what rows are made of it in `price_history`.
"""

import re
from dataclasses import dataclass

from oai_usage_pipeline.reference.model_names import model_names


@dataclass(frozen=True)
class Meter:
    """What one meter charges for. `amount` is how many of `unit` its price is for (100 images: 100)."""

    models: tuple[str, ...]
    deployment_type: str
    service_tier: str | None
    buckets: tuple[str, ...]
    unit: str
    amount: int = 1
    sizes: tuple[str | None, ...] = (None,)
    image_quality: str | None = None


class NotOurs(Exception):
    """A meter that no price row comes of; the message says why."""


class NotUnderstood(NotOurs):
    """A meter that looks like a price of tokens, with words that nobody taught us: worth a look."""


_TYPES = {
    **dict.fromkeys(("glbl", "global", "glb", "gl"), "Global"),
    **dict.fromkeys(("datazone", "dzone", "dzn", "dz"), "DataZone"),
    **dict.fromkeys(("regional", "regnl", "rgnl", "regn", "rg"), "Regional"),
}
_INPUT = {"inp", "inpt", "input", "in"}
_OUTPUT = {"opt", "outp", "outpt", "out", "output"}
_CACHED = {"cchd", "cched", "ccchd", "cd", "cached"}
_AUDIO, _TEXT, _IMAGE = {"aud", "audio"}, {"txt", "text"}, {"img", "image"}
_REALTIME = {"rt", "rtime", "realtime"}
_SILENT = {"tokens", "std", "shortco", "prvw", "ep", "1m"}
_STANDARD = {"Global": "GlobalStandard", "DataZone": "DataZoneStandard", "Regional": "Standard"}
_BATCH = {"Global": "GlobalBatch", "DataZone": "DataZoneBatch", "Regional": "Batch"}
_TOKEN_UNITS = {"1K": "1K tokens", "1M": "1M tokens"}

_OTHER_THINGS = {
    "fine-tuned models (training, hosting, use)": r"\b(ft|rft|hstng|hosting|trng|training|grader)\b",
    "tools and agents, not models": r"assistants|code.interpreter|file.search",
    "video": r"\bsora\b",
    "first names of meters, kept by Azure for old bills": r"^az-",
    "provisioned throughput of the first kind, or overage": r"provisioned throughput",
    "no price": r"^standard unit$",
    "a name that no deployment of ours has": r"^gpt-latest|^chat-latest",
}
_REWRITES = (
    (r"(?<=[a-z])(?=[A-Z])", " "),  # realtimePrvwAudInp
    (r"(?i)data zone", "datazone"),
    (r"(?i)(long|short) co\b", r"\1co"),
    (r"(?i)\bgpt[ -]?4o[ -]?mini|\bgpt4o mn\b", "gpt 4o mini"),
    (r"(?i)\bgpt4o\b", "gpt 4o"),
    (r"(?i)(?<=[a-z])(?=\d{4}\b)", " "),  # aud1217
    (r"(?i)(turbo|trb)(?=\d)", r"\1 "),
    (r"(?i)\btrscb\b", "transcribe"),
    (r"(?i)^gpt[ -]ima?ge?[ -](1\.5|1)\b", r"gpt~image~\1"),
    (r"(?i)^image 2\b", "gpt~image~2"),
    (r"(?i)\btext[ -]embedding\b", "text~embedding"),
    (r"(?i)\b1M tokens$", ""),
)
_IMAGE_ONLY = ("gpt-image-1", "gpt-image-1-mini", "gpt-image-2")
"""Every output token of these is of an image, whether usage says so or not; as every one of tts is audio."""


def read_meter(name: str, unit: str) -> Meter:
    """Take a meter's name and unit of measure apart; raises NotOurs or NotUnderstood."""
    for reason, pattern in _OTHER_THINGS.items():
        if re.search(pattern, name, re.IGNORECASE):
            raise NotOurs(reason)
    if name.startswith("Provisioned Managed"):
        return _provisioned(name, unit)
    if name.startswith(("Image-DALL", "Image-Dall")):
        return _dall_e(name, unit)
    if name.startswith("Speech"):
        return _speech(name, unit)
    if unit not in _TOKEN_UNITS:
        raise NotOurs(f"charged by {unit}")
    return _tokens(name, _TOKEN_UNITS[unit])


def _words(name: str) -> list[str]:
    for pattern, replacement in _REWRITES:
        name = re.sub(pattern, replacement, name)
    words = [word for word in re.split(r"[ -]+", name.lower()) if word]
    return [{"mn": "mini"}.get(word, word).replace("~", "-") for word in words]


def _place(words: set[str]) -> str:
    places = {_TYPES[word] for word in words if word in _TYPES}
    if len(places) != 1:
        raise NotUnderstood("it doesn't say whether it is global, of a data zone or regional")
    return places.pop()


def _tokens(name: str, unit: str) -> Meter:
    words = _words(name)
    found = set(words)
    if "longco" in found:
        raise NotOurs("long prompts have prices of their own, and the table has no column for length")
    if found & {"wr", "write"}:
        raise NotOurs("writing to the prompt cache is no bucket: usage counts it as input")
    place = _place(found)
    names = _models(words)
    return Meter(
        models=names,
        deployment_type=(_BATCH if "batch" in found else _STANDARD)[place],
        service_tier="priority" if "pp" in found else None,
        buckets=_buckets(found, names),
        unit=unit,
    )


_SAID_ELSEWHERE = (
    set(_TYPES) | _INPUT | _OUTPUT | _CACHED | _AUDIO | _TEXT | _IMAGE | _REALTIME | _SILENT | {"batch", "pp"}
)


def _models(words: list[str]) -> tuple[str, ...]:
    found = set(words)
    version = next((word for word in words if re.fullmatch(r"[01]\d[0-3]\d", word)), None)
    own = [word for word in words if word not in _SAID_ELSEWHERE and word != version]
    if found & _REALTIME and "realtime-2" not in " ".join(words):
        own = [*own[: 2 if "4o" in own else 1], "realtime", *own[2 if "4o" in own else 1 :]]
        own = ["gpt", "4o", "mini", "realtime"] if own == ["gpt", "4o", "realtime", "mini"] else own
        if own == ["gpt", "4o", "realtime"] and version is None:
            version = "1001"  # the preview's meters came first, and name no version
    elif found & _AUDIO and not found & {"transcribe", "tts", "tcrb"}:
        own = [*own[:1], "audio", *own[1:]] if "4o" not in own else [*own, "audio"]
    if not own or own == ["gpt"]:
        raise NotUnderstood("it names no model")
    return model_names(" ".join(own), version)


def _buckets(found: set[str], models: tuple[str, ...]) -> tuple[str, ...]:
    is_input, is_output = bool(found & _INPUT), bool(found & _OUTPUT)
    kind = _kind(found)
    if not is_input and not is_output and any("embedding" in name for name in models):
        return ("input",)
    if "base" in found:
        return ("input", "output")
    if is_input == is_output:
        raise NotUnderstood("it doesn't say whether it is for input or for output")
    if found & _CACHED:
        if not is_input or kind != "text":
            raise NotOurs(f"cached {kind} is no bucket: all cached input has the price of cached text")
        return ("cached_input",)
    side = "input" if is_input else "output"
    if kind == "text":
        return (side,)
    if is_output and (models[0] in _IMAGE_ONLY or "tts" in found):
        return (f"{kind}_output", "output")
    return (f"{kind}_{side}",)


def _kind(found: set[str]) -> str:
    if found & _TEXT:
        return "text"
    if found & _IMAGE:
        return "image"
    return "audio" if found & _AUDIO else "text"


def _provisioned(name: str, unit: str) -> Meter:
    if unit != "1/Hour":
        raise NotOurs(f"provisioned throughput by {unit}")
    kinds = {"Global": "GlobalProvisionedManaged", "Data": "DataZoneProvisionedManaged"}
    kind = kinds.get(name.split()[2], "ProvisionedManaged")
    return Meter(("*",), kind, None, ("provisioned",), "PTU hour")


_SIZES: dict[str, tuple[str | None, ...]] = {
    "LowRes": ("1024x1024", None),
    "HighRes": ("1024x1792", "1792x1024"),
}
"""DALL-E 3's sizes; 1024x1024 is what a request without size gets, as `standard` is without quality."""


def _dall_e(name: str, unit: str) -> Meter:
    words = _words(name)
    place = _STANDARD[_place(set(words))]
    if unit != "100":
        raise NotUnderstood(f"images by {unit}")
    if "2" in words:
        return Meter(model_names("dall e 2", None), place, None, ("image",), "image", 100)
    size = next((sizes for word, sizes in _SIZES.items() if word in name), None)
    if size is None or not {"HD", "Std"} & set(name.split()):
        raise NotUnderstood("images of unknown size or quality")
    quality = "hd" if "HD" in name.split() else None
    return Meter(model_names("dall e 3", None), place, None, ("image",), "image", 100, size, quality)


def _speech(name: str, unit: str) -> Meter:
    place = _STANDARD[_place(set(_words(name)))]
    if "Whisper" in name and unit == "1 Hour":
        return Meter(model_names("whisper", None), place, None, ("audio_duration",), "hour")
    if "Text to Speech" in name and unit == "1M":
        words = "tts hd" if " HD" in name else "tts"
        return Meter(model_names(words, None), place, None, ("character",), "1M characters")
    raise NotUnderstood(f"speech by {unit}")
