class LiveHandError(Exception):
    """A failure that the user is told of in one sentence.

    The sentence itself stands in ``messages.py``, where it can be translated; this class carries only what it
    is made of, so that the pure parts of the library need to know nothing of Slicer.

    :param reason: key of the sentence, for example ``"fileMissing"``.
    :param details: the words to put into the sentence, for example ``path="clip.mp4"``.
    """

    def __init__(self, reason: str, **details) -> None:
        super().__init__(reason, details)
        self.reason = reason
        self.details = details

    @classmethod
    def of(cls, error: BaseException) -> "LiveHandError":
        """An error as the user is told of it: itself, or ``internal`` if nobody foresaw it."""
        return error if isinstance(error, cls) else cls("internal", detail=f"{type(error).__name__}: {error}")

    def __str__(self) -> str:
        return f"{self.reason} {self.details}" if self.details else self.reason
