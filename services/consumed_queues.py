"""Which queues this worker consumes, for its children to report."""


class ConsumedQueues:
    """Set by the worker's parent before the first fork, and inherited by the children."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()


CONSUMED = ConsumedQueues()
