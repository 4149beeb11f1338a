"""Every reported token in exactly one priced bucket, and estimates and units in theirs.

Pure expressions on silver columns. Parts are inside their whole: audio and images are taken out of
the input first, the cache is taken from the text, then from images, then from audio. Parts that
contradict their whole are cut to it, so that the buckets of a call always add up to what it reports.
Prices belong in `charge`.
"""

import polars as pl

from oai_usage_pipeline.tables import BUCKETS

_INPUT, _OUTPUT, _TOTAL = pl.col("input_tokens"), pl.col("output_tokens"), pl.col("total_tokens")


def billed() -> list[pl.Expr]:
    """One expression for each column of `tables.BUCKETS`, per silver row; null where nothing is reported."""
    made = {**_inputs(), **_outputs(), "unsplit": _unsplit(), **_units()}
    return [made[bucket].alias(column) for bucket, column in BUCKETS.items()]


def _inputs() -> dict[str, pl.Expr]:
    audio = _least(_part("audio_input_tokens"), _INPUT)
    image = _least(_part("image_input_tokens"), _INPUT - audio)
    text = _INPUT - audio - image
    cached = _least(_part("cached_input_tokens"), _INPUT)
    cached_text = _least(cached, text)
    cached_image = _least(cached - cached_text, image)
    cached_audio = cached - cached_text - cached_image
    return {
        "input": text - cached_text,
        "cached_input": _where_reported("cached_input_tokens", cached),
        "audio_input": _where_reported("audio_input_tokens", audio - cached_audio),
        "image_input": _where_reported("image_input_tokens", image - cached_image),
    }


def _outputs() -> dict[str, pl.Expr]:
    audio = _least(_part("audio_output_tokens"), _OUTPUT)
    image = _least(_part("image_output_tokens"), _OUTPUT - audio)
    return {
        "output": _OUTPUT - audio - image,
        "audio_output": _where_reported("audio_output_tokens", audio),
        "image_output": _where_reported("image_output_tokens", image),
    }


def _unsplit() -> pl.Expr:
    """What only a total tells: of which kind these tokens are, nobody knows."""
    rest = _TOTAL - _OUTPUT.fill_null(0)
    return pl.when(_INPUT.is_null() & (rest > 0)).then(rest)


def _units() -> dict[str, pl.Expr]:
    """A call that reports tokens is billed by them, whatever else it counts."""
    is_unit_billed = pl.col("status") == "unit_billed"
    return {
        "audio_duration": pl.when(is_unit_billed).then(pl.col("audio_duration_ms")),
        "image": pl.when(is_unit_billed).then(pl.col("image_count")),
        "character": pl.when(is_unit_billed).then(pl.col("character_count")),
    }


def _part(column: str) -> pl.Expr:
    return pl.col(column).fill_null(0)


def _where_reported(column: str, bucket: pl.Expr) -> pl.Expr:
    return pl.when(pl.col(column).is_not_null()).then(bucket)


def _least(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    # Not `min_horizontal`: it passes over nulls, and a part without its whole would become one.
    return pl.when(part <= whole).then(part).otherwise(whole)
