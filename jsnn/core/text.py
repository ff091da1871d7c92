"""Text from outside, as it may be shown: names in configs, paths, lines of results."""

LONGEST = 800  # characters of a message
LABEL = 40  # characters of a name in a table or figure


def plain(text: object, most: int = LONGEST) -> str:
    """Text without anything that a terminal would obey: what cannot be printed is shown escaped (`\\x1b`), line breaks
    and marks that turn the direction of writing included; of more than `most` characters the middle is left out.
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    if len(shown) <= most:
        return shown
    gap = f"[... {len(shown) - most} characters ...]" if most > LABEL else "..."
    kept = max(most - len(gap), 2)
    return shown[: (kept + 1) // 2] + gap + shown[len(shown) - kept // 2 :]


def name(text: object) -> str:
    """What a component of a config is called in tables and figures: `adaptive_lif` is "adaptive lif"."""
    return plain(str(text).replace("_", " "), LABEL)
