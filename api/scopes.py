"""Which scope a request needs."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from flask import Request, current_app

from domain.access import Scope

Needed = Scope | Literal["any"]
View = TypeVar("View", bound=Callable[..., Any])

# What has nothing to hide, and what people look at before they have a key.
OPEN_BLUEPRINTS = frozenset({"health", "docs", "api-docs"})
READING = frozenset({"GET", "HEAD"})
# Who says where a tenant's messages go, or takes the secret that signs them, learns of all its
# jobs: more than a key that only submits may, and nothing for a browser.
SENSITIVE_BLUEPRINTS = frozenset({"webhooks"})
MARK = "_needed_scope"


def needs(scope: Needed) -> Callable[[View], View]:
    """Say which scope a view needs where its method does not tell; `any`: no more than a key."""

    def mark(view: View) -> View:
        setattr(view, MARK, scope)
        return view

    return mark


def needed_scope(request: Request) -> Needed | None:
    """The scope that this request needs; None when it is open to everybody.

    An address that leads nowhere needs none: there is nothing to guard, and whoever mistyped
    it should read that.
    """
    rule = request.url_rule
    if rule is None or request.method == "OPTIONS" or request.blueprint in OPEN_BLUEPRINTS:
        return None
    if rule.rule == "/admin" or rule.rule.startswith("/admin/"):
        return "admin"
    marked: Needed | None = getattr(_view_of(request), MARK, None)
    return marked or ("read" if request.method in READING else "submit")


def needed_beside(request: Request) -> frozenset[Scope]:
    """Scopes that this request needs beside `needed_scope`; then a single-use token will not do."""
    if request.blueprint in SENSITIVE_BLUEPRINTS:
        return frozenset({"read"})
    return frozenset()


def _view_of(request: Request) -> object:
    """The function that will answer: of a class, its method."""
    view = current_app.view_functions[request.endpoint or ""]
    of_class = getattr(view, "view_class", None)
    if of_class is None:
        return view
    name = request.method.lower()
    return getattr(of_class, name, None) or getattr(of_class, "get", None)
