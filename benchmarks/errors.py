class BenchmarkFailed(Exception):
    """A measurement could not be made; the message says why."""
