import logging
import traceback


class LiveHandError(Exception):
    """A failure that is reported to the user in one sentence.

    The sentence itself stands in ``panel/sentences.py``, where it can be translated; this class carries only what it
    is made of, so that the pure parts of the library need to know nothing of Slicer.

    :param reason: key of the sentence, for example ``"fileMissing"``.
    :param details: the words to put into the sentence, for example ``path="clip.mp4"``.

    :ivar trace: the stack trace of what was not foreseen, or of the error that led to this one; a text, for a traceback
        keeps the frames of the stack, and they the images. Empty if there is none, or before :meth:`of`.
    """

    def __init__(self, reason: str, **details: object) -> None:
        super().__init__(reason, details)
        self.reason = reason
        self.details = details
        self.trace = ""

    @classmethod
    def of(cls, error: BaseException) -> "LiveHandError":
        """An error as it is reported to the user: itself, or ``internal`` if nobody foresaw it.

        To be called where it is caught, in whatever thread: from there on the stack is known as a text only.
        """
        reported = error if isinstance(error, cls) else cls("internal", detail=f"{type(error).__name__}: {error}")
        traced = error.__cause__ if reported is error else error
        if traced is not None and not reported.trace:
            reported.trace = "".join(traceback.format_exception(traced))
        error.__traceback__ = error.__cause__ = error.__context__ = None
        return reported

    def log(self) -> None:
        """Write it to the log: what was foreseen as information, all else as an error with its stack trace.

        To be called in the GUI thread, for Slicer shows its log in a widget.
        """
        if self.reason == "internal":
            logging.error(f"LiveHand: {self}\n{self.trace}")
        else:
            logging.info(f"LiveHand: {self}")
            if self.trace:
                logging.debug(f"LiveHand: {self.reason} because of\n{self.trace}")

    def __str__(self) -> str:
        return f"{self.reason} {self.details}" if self.details else self.reason
