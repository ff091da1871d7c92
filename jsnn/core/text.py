"""Text from outside, such as names in configs, paths and lines of results, made safe to be shown."""

LONGEST = 800  # characters of a message
LABEL = 40  # characters of a name in a table or figure


def plain(text: object, most: int = LONGEST) -> str:
    """Replace everything in a text that a terminal would obey, and shorten it.

    Characters that cannot be printed, line breaks and marks that change the direction of writing included, are escaped,
    as repr does. If more than `most` characters remain, the middle is left out.

    Args:
        text: Any object; its `str` is shown.
        most: Largest number of characters.

    Returns:
        The text in one printable line.
    """
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    if len(escaped) <= most:
        return escaped
    gap = f"[... {len(escaped) - most} characters ...]" if most > LABEL else "..."
    remaining = max(most - len(gap), 2)
    return escaped[: (remaining + 1) // 2] + gap + escaped[len(escaped) - remaining // 2 :]


def name(text: object) -> str:
    """Format the name of a component for tables and figures: `adaptive_lif` becomes "adaptive lif"."""
    return plain(str(text).replace("_", " "), LABEL)
