"""The models that the traffic calls: the deployment a request names and the model a response names.

Only names and what their usage reports; prices belong to the pipeline.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """One deployment and the model behind it.

    `has_details`: usage carries cached and reasoning counts; older models report three totals only.
    """

    deployment: str
    name: str
    weight: int = 1
    has_details: bool = True
    reasons: bool = False


CHAT_MODELS = (
    Model("gpt-4o-mini", "gpt-4o-mini-2024-07-18", 40),
    Model("gpt-4o", "gpt-4o-2024-08-06", 25),
    Model("gpt-4.1", "gpt-4.1-2025-04-14", 15),
    Model("gpt-35-turbo", "gpt-35-turbo-0125", 12, has_details=False),
    Model("o4-mini", "o4-mini-2025-04-16", 8, reasons=True),
)
RESPONSES_MODELS = (
    Model("gpt-4.1", "gpt-4.1-2025-04-14", 50),
    Model("gpt-4o", "gpt-4o-2024-08-06", 30),
    Model("o4-mini", "o4-mini-2025-04-16", 20, reasons=True),
)
EMBEDDING_MODELS = (Model("text-embedding-3-small", "text-embedding-3-small"),)
COMPLETION_MODELS = (Model("gpt-35-turbo-instruct", "gpt-35-turbo-instruct", has_details=False),)
