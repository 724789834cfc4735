"""The one exception that a user's mistake raises."""


class UserError(ValueError):
    """Bad input, in one sentence: what was wrong, where, what to do. The CLI exits with 2."""
