"""Addresses that lead to the routes of an application."""

from uuid import UUID

from werkzeug.routing import AnyConverter, IntegerConverter, UUIDConverter


def address_of(rule, **values):
    """An address that the rule matches, with these values where it has such arguments."""
    given = {name: values.get(name, _any_value(rule._converters[name])) for name in rule.arguments}
    return rule.build(given, append_unknown=False)[1]


def _any_value(converter):
    match converter:
        case AnyConverter():
            return next(iter(converter.items))
        case IntegerConverter():
            return 1
        case UUIDConverter():
            return UUID(int=1)
        case _:
            return "x"
