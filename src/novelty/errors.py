"""The one exception that is meant for the person at the keyboard."""


class NoveltyError(Exception):
    """One sentence that names the thing that is wrong and the remedy.

    Raise it anywhere; only the doors (`python -m novelty.<verb>`) turn it into a printed line and exit code 1.
    Never raise ``SystemExit`` below a door: it would end a whole sweep.
    """


class Stopped(BaseException):
    """A signal asked the run to stop, and it did so between two steps with its state saved.

    No ``Exception``, because a launcher that goes on with the next cell after a failure must not go on after this.
    """

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(signal_number, message)
        self.exit_code = 128 + signal_number

    def __str__(self) -> str:
        return str(self.args[1])
