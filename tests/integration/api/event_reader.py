"""Reads server-sent events as a browser does."""

import json
from dataclasses import dataclass


@dataclass
class Received:
    """One event as it was dispatched."""

    name: str
    data: dict
    id: str


class EventReader:
    """Turns pieces of a stream into events; keeps the id to come back with."""

    def __init__(self, pieces):
        self._pieces = iter(pieces)
        self._text = ""
        self.last_id = ""
        self.comments = []

    def __iter__(self):
        return self

    def __next__(self):
        """The next event. Raises StopIteration at the end of the stream."""
        while True:
            while "\n\n" not in self._text:
                piece = next(self._pieces)
                self._text += piece.decode() if isinstance(piece, bytes) else piece
            block, _, self._text = self._text.partition("\n\n")
            event = self._dispatch(block)
            if event is not None:
                return event

    def read(self, count):
        """That many events."""
        return [next(self) for _ in range(count)]

    def until(self, name):
        """All events up to the first of this name."""
        events = []
        while not events or events[-1].name != name:
            events.append(next(self))
        return events

    def _dispatch(self, block):
        fields = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
            else:
                self.comments.append(value.strip())
        self.last_id = fields.get("id", self.last_id)
        if "data" not in fields:
            return None
        return Received(fields["event"], json.loads(fields["data"]), self.last_id)
