"""The text of a job in pieces, each told once."""


class Deltas:
    """Says what of a text was not told yet, while the text grows.

    A text that is decoded anew, which happens when an attempt had to give way to another model,
    is told from where the first one had come to: what was said cannot be taken back. The whole
    text at the end of a stream is right in any case.
    """

    def __init__(self) -> None:
        self._told = 0  # characters
        self._at = 0  # characters of the text as it is decoded now

    def restart(self) -> None:
        """The text begins again."""
        self._at = 0

    def add(self, text: str) -> str:
        """More text; returns what of it is new."""
        if self._at == 0:
            text = text.lstrip()  # segments begin with a blank, texts do not
        start = self._at
        self._at += len(text)
        new = text[max(0, self._told - start) :]
        self._told = max(self._told, self._at)
        return new

    def finish(self, text: str) -> str:
        """The whole text; returns what of its end was not told."""
        new = text[self._told :]
        self._told = max(self._told, len(text))
        return new
