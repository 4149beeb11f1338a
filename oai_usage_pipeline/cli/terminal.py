"""Text of others on a terminal: names and reasons that were typed or sent by somebody else."""


def plain(text: str | None) -> str:
    """The text without what could steer a terminal; None is a dash."""
    return "-" if text is None else "".join(sign if sign.isprintable() else "?" for sign in text)
