"""Names of models, brought to one spelling: Azure's metrics, its meters and the models' own answers differ.

Belongs here: pure rules about names. Which rows are compared with which is decided in `variance`.
"""

import re
from collections.abc import Iterable

PROVISIONED = "provisioned throughput"
"""What provisioned units are compared under: their meters name no model."""

_RELEASE = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{4})(-preview)?$")
_COUNTER = re.compile(r"^\d{1,3}$")

_CONTEXT_SIZE = re.compile(r"(?<!\d)(4|8|16|128)k$")
_OTHER_NAMES = {"embeddingada": "textembeddingada002"}

_METER_WORDS = {
    # What a meter's name says beside the model, in the spellings of Azure's retail prices (2023 to 2026).
    *("inp", "inpt", "input", "in", "outp", "outpt", "output", "out", "opt"),
    *("cached", "cchd", "cched", "cach", "cache", "cd", "wr", "write", "std", "pp", "batch"),
    *("glbl", "glb", "global", "gl", "regnl", "rgnl", "regn", "regional", "rg"),
    *("datazone", "dzone", "dzn", "dz", "data", "zone"),
    *("shortco", "longco", "tokens", "token", "1m", "1k", "unit", "units", "images", "az"),
}


def model_family(name: str) -> str:
    """A model's name without its release date, in lower case: `gpt-4o-2024-08-06` is `gpt-4o`.

    Azure's own spelling `gpt-35` reads `gpt-3.5`.
    """
    return _RELEASE.sub("", name.strip().lower()).replace("gpt-35", "gpt-3.5")


def versioned_family(name: str, version: str | None) -> str:
    """The family of a model that the metrics name in two dimensions, ModelName and ModelVersion.

    `gpt-4` in version `turbo-2024-04-09` is what answers as `gpt-4-turbo-2024-04-09`. A version that only
    counts (`1`, `2`: embeddings) is no part of any name.
    """
    if not version or _COUNTER.match(version):
        return model_family(name)
    return model_family(f"{name}-{version}")


def meter_family(meter: str, families: Iterable[str]) -> str | None:
    """Which of the model families a meter is for; None when its name fits none of them.

    `gpt 4o 0806 Inp Data Zone Tokens` is for `gpt-4o`, `5.4 mini Inp Gl 1M Tokens` for `gpt-5.4-mini`.
    """
    words = [word for word in re.split(r"[\s\-_]+", meter.lower()) if word and word not in _METER_WORDS]
    while words and re.fullmatch(r"\d{4}", words[-1]):
        words.pop()
    by_skeleton = {_skeleton(family): family for family in sorted(families)}
    exactly = by_skeleton.get(_skeleton("".join(words)))
    if exactly or not words:
        return exactly
    # `gpt-4-8K` is for gpt-4, but `gpt-4-32K` for a model of that name.
    words[-1] = _CONTEXT_SIZE.sub("", words[-1])
    return by_skeleton.get(_skeleton("".join(words)))


def _skeleton(name: str) -> str:
    letters = re.sub(r"[^a-z0-9.]", "", name.lower()).removeprefix("gpt")
    return _OTHER_NAMES.get(letters, letters).replace("35turbo", "3.5turbo")
