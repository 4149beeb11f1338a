"""A share of the fuzzer on each run; and that the fuzzer finds what it is there to find."""

from importlib.util import find_spec
from random import Random
from typing import Any

import pytest

from oai_usage_pipeline.usage import derive as derive_module
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline.usage.metering import UsageRecord
from oai_usage_pipeline_tests.usage import fuzz as fuzz_module
from oai_usage_pipeline_tests.usage.fuzz import fuzz
from oai_usage_pipeline_tests.usage.guided_fuzz import guided_fuzz
from oai_usage_pipeline_tests.usage.mutations import mutated, seeds

INPUTS = 6_000
SOME = 200
ONE_LOT, BEYOND_THE_SEEDS = 128, 450


def test_no_input_is_uncaught_leaks_or_comes_out_wrong() -> None:
    figures = fuzz(INPUTS, seed=4)
    assert figures.is_clean, figures.failures
    assert figures.inputs == INPUTS
    # Fewer ways to come out would mean that the inputs are no longer what the parser takes for events.
    assert figures.outcomes > 200


def test_the_same_seed_gives_the_same_inputs_and_another_seed_others() -> None:
    def inputs(seed: int) -> list[bytes]:
        random = Random(seed)
        pool = seeds(random)
        return [mutated(random.choice(pool), random, random.choice(pool)) for _ in range(100)]

    assert inputs(1) == inputs(1)
    assert inputs(1) != inputs(2)


@pytest.mark.skipif(
    find_spec("atheris") is None, reason="atheris, which has wheels for Linux, isn't installed"
)
def test_atheris_guides_the_same_checks_by_the_branches_reached() -> None:
    figures = guided_fuzz(SOME, seed=1)
    assert figures.is_clean, figures.failures
    assert figures.inputs >= SOME - 1
    assert figures.edges is not None
    assert figures.edges > 500


def failing(*_: Any) -> Any:
    raise ValueError("a bug")


BUGS: dict[str, tuple[object, str, Any, str]] = {
    "landing raises": (fuzz_module, "land", failing, "uncaught"),
    "deriving raises": (fuzz_module, "derive", failing, "uncaught"),
    "a bug that is caught": (derive_module, "meter", failing, "wrong"),
    "a status that there is not": (
        derive_module,
        "meter",
        lambda *_: UsageRecord(status="lost", reason="x"),
        "wrong",
    ),
    "no reason": (derive_module, "meter", lambda *_: UsageRecord(status="rejected"), "wrong"),
    "negative tokens": (
        derive_module,
        "meter",
        lambda *_: UsageRecord(status="metered", total_tokens=-1),
        "wrong",
    ),
    "a key that is not scrubbed": (
        KeyFingerprint,
        "scrub_unreadable",
        lambda self, body: body,
        "leaks",
    ),
    "a lost row": (fuzz_module, "derive", lambda bronze: derive_module.derive(bronze[1:]), "wrong"),
    "an event that takes long": (fuzz_module, "MOST_SECONDS", 0.0, "slow"),
}


@pytest.mark.parametrize(("where", "name", "bug", "kind"), BUGS.values(), ids=BUGS)
def test_the_fuzzer_finds(
    monkeypatch: pytest.MonkeyPatch, where: object, name: str, bug: Any, kind: str
) -> None:
    monkeypatch.setattr(where, name, bug)
    figures = fuzz(BEYOND_THE_SEEDS if kind == "leaks" else ONE_LOT, seed=1)
    assert getattr(figures, kind) > 0
    assert not figures.is_clean
    assert figures.failures[0][0].startswith(kind)
