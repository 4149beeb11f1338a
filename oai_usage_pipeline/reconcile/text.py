"""The text of a file that people brought along, whatever wrote it.

Belongs here: encodings. What the text means is for the readers.
"""

import codecs
from pathlib import Path

from oai_usage_pipeline.errors import ConfigurationError


def file_text(file: Path) -> str:
    """The file's text; with a byte order mark, UTF-8 or UTF-16 (what PowerShell's `>` writes).

    Raises ConfigurationError when it can't be read, is empty, or is no text.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file} can't be read: {error.strerror}") from None
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file} is no text in UTF-8: is it compressed, or Parquet?") from None
    if not text.strip():
        raise ConfigurationError(f"{file} is empty")
    return text
