"""Text that comes from the data, made fit to be read; escaping it is the templates' part."""


def printable(text: str) -> str:
    """Characters that would show nothing or turn the line round (controls, bidi marks) as Python writes them."""
    if not text.strip():
        return f"{text!r} (blank)" if text else "(empty)"
    return "".join(
        char if char.isprintable() or char == "\u200d" else char.encode("unicode_escape").decode() for char in text
    )


def shorten(text: str, most: int) -> str:
    """At most `most` characters, the last an ellipsis if some are left out."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "\u2026"


def label(text: str, most: int = 60) -> str:
    """A name or value from the data, as a short readable label."""
    return shorten(printable(text[: most * 4]), most)
