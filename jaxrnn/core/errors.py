"""The one exception that stands for a user's mistake."""


class InputError(ValueError):
    """What a user gave cannot be used.

    The message is one sentence that names the offending thing, what was expected and what to do.
    Experiments print it without a traceback and exit with code 2; a notebook sees a `ValueError`.
    """
