"""The one exception that means "the user gave us something wrong"."""


class InputError(ValueError):
    """Bad input by the user: one line that says what is wrong, where, and what would be right."""


class PeerLost(RuntimeError):
    """Another process of this job has stopped."""
