from typing import Any

import click


class NumberList(click.ParamType):  # type: ignore[type-arg]
    """Whole numbers from 1 on, with commas between them."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[int]:
        """The numbers, each once, in order."""
        if isinstance(value, list):
            return value
        words = str(value).split(",")
        if not all(word.isdecimal() and int(word) for word in words):
            self.fail(f"{value} is no list of numbers such as 1,2,8", param, ctx)
        return sorted({int(word) for word in words})
