"""What bodies are made of: passages of text, streamed tokens, vectors; all drawn from one seeded random.

The shapes they are put into belong in the modules of the APIs.
"""

import base64
import random
import struct
from collections.abc import Sequence

from oai_usage_pipeline.traffic.models import Model
from oai_usage_pipeline.traffic.newtonsoft import json_text

DIMENSIONS = 1536
"""The length of a text-embedding-3-small vector."""

_WIDE_SHARE = 0.1
"""How many texts may hold Japanese or emoji. One such character makes Python store the whole message
four times as wide, which costs a quarter of the speed when every message has one."""

_BLOCK = 192
_BLOCKS = 32

PASSAGES = (
    (
        "The customer wrote three times about the invoice of last month and still has no answer; the second "
        "reminder was sent to the wrong address, and the amount differs by 12.40 EUR from the contract."
    ),
    (
        "Summarise the following notes for a reader who was not in the meeting. Keep the decisions, the open "
        'questions and who does what by when. Write "none" where a list would be empty.'
    ),
    (
        "Die Lieferung vom 14. März wurde nur teilweise angenommen. Übrig bleiben zwölf Kartons, für die der "
        "Empfänger eine Gutschrift verlangt; die Spedition lehnt das ab, weil die Ware trocken ankam."
    ),
    (
        "Clause 7.2 limits the liability of the supplier to the fees paid in the twelve months before the "
        "event. It does not apply to intent, gross negligence or a breach of confidentiality (see Annex B)."
    ),
    (
        "def median(values):\n    ordered = sorted(values)\n    middle = len(ordered) // 2\n"
        '    return ordered[middle]  # "upper" median\n'
    ),
    "お問い合わせの件、確認いたしました。返金の手続きには五営業日ほどかかります。ご不便をおかけして申し訳ございません。",
    (
        "1. Preheat the oven to 180 °C.\n2. Mix flour, sugar and butter.\n3. Bake for 25 minutes.\n\n"
        "Tip: a pinch of salt helps. 🍪"
    ),
    (
        "La réunion est avancée à jeudi, 9 h 30, salle Élysée. Merci d'apporter les chiffres du trimestre "
        "et, si possible, une proposition pour la répartition des coûts entre les équipes."
    ),
    (
        'The log said {"usage": {"prompt_tokens": 999999, "completion_tokens": 1, "total_tokens": 1000000}} '
        "and then nothing more; is that a bill or only an example in the manual?"
    ),
    (
        "Our churn model improved from 0.71 to 0.78 AUC after we removed the leaking column. The gain comes "
        "from tenure and ticket count; region adds nothing. Next: calibrate, then hand over to marketing."
    ),
    (
        "Path C:\\exports\\2024\\q3 is full again. Please move the archives to cold storage, and tell the "
        "night shift that 100% means 100% and that the job stops without an error."
    ),
    (
        "Thank you for your application. We liked your work on search quality very much, yet we chose "
        "another candidate for this role. May we keep your documents for six months?"
    ),
)
TOKENS = (
    *("The", " answer", " is", " that", " each", " team", " pays", " for", " what", " it", " used", ".", ","),
    *(
        " and",
        " not",
        " more",
        "\n\n",
        "\n- ",
        " (",
        ")",
        " 42",
        "%",
        ' "',
        '"',
        " naïve",
        " 費用",
        " 🙂",
        "\\",
    ),
    *(" total", "_tokens", '"usage":', "data: [DONE]", " cost", " per", " month", " which", " we", " round"),
)


class _Texts:
    """The insides of JSON string literals: all of them, and those without wide characters."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.all = [json_text(text)[1:-1] for text in texts]
        self.narrow = [text for text in self.all if max(text) <= "\xff"]


class Material:
    """Random choices for one run of the generator: same seed, same material in the same order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - reproducible traffic, not cryptography
        self._passages = _Texts(PASSAGES)
        self._tokens = _Texts(TOKENS)
        self._blocks = [[self._coordinate() for _ in range(_BLOCK)] for _ in range(_BLOCKS)]
        # Newtonsoft puts each number of an array on its own line; eight spaces deep in an embedding.
        self._float_blocks = [",\n        ".join(f"{x!r}".upper() for x in block) for block in self._blocks]
        self._base64_blocks = [_base64_floats(block) for block in self._blocks]

    def passages(self, count: int) -> str:
        """The inside of a JSON string literal: `count` passages, about 180 characters each."""
        return " ".join(self._drawn(self._passages, count))

    def tokens(self, count: int) -> list[str]:
        """`count` insides of JSON string literals, as a stream's chunks carry them."""
        return self._drawn(self._tokens, count)

    def long_tailed(self, median: float, spread: float, most: int) -> int:
        """A count from 1 to `most`, log-normal: half of the draws below `median`, a few far above."""
        return max(1, min(most, round(median * self.random.lognormvariate(0, spread))))

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.random.random() < probability

    def model(self, models: Sequence[Model]) -> Model:
        """One of the models, by weight."""
        return self.random.choices(models, weights=[model.weight for model in models])[0]

    def vector(self) -> str:
        """The numbers of one embedding, without the brackets: 1,536 floats, about 33 KB of text."""
        return ",\n        ".join(self.random.choices(self._float_blocks, k=DIMENSIONS // _BLOCK))

    def base64_vector(self) -> str:
        """The same as little-endian float32 in base64, which the OpenAI SDKs ask for: 8 KB."""
        return "".join(self.random.choices(self._base64_blocks, k=DIMENSIONS // _BLOCK))

    def _drawn(self, texts: "_Texts", count: int) -> list[str]:
        return self.random.choices(texts.all if self.chance(_WIDE_SHARE) else texts.narrow, k=count)

    def _coordinate(self) -> float:
        return round(self.random.gauss(0, DIMENSIONS**-0.5), 9)


def _base64_floats(block: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(block)}f", *block)).decode()
