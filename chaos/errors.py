class ChaosFailed(Exception):
    """The attack itself could not go on; it says nothing about the promises."""
