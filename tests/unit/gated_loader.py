"""Loads that a test lets go on."""

from threading import Event

from engines.fake import FakeLoader


class GatedLoader(FakeLoader):
    """Loads when the gate opens."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.started, self.gate = Event(), Event()

    def load(self, model_size, device):
        self.started.set()
        assert self.gate.wait(10)
        return super().load(model_size, device)
