"""The exceptions of jsnn: wrong input by the user, and the loss of another process."""


class InputError(ValueError):
    """The user gave wrong input.

    The message is one line that says what is wrong, where, and what would be right.
    """


class PeerLost(RuntimeError):
    """Another process of this job has stopped or cannot be reached."""
