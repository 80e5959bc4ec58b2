"""/tokens: entry for one request, for browsers, which must not hold a key."""

from typing import Any

from flask.views import MethodView

from api.blueprint import Blueprint
from api.current import current_principal, current_services
from api.schemas.keys import NewTokenSchema, TokenSchema
from api.scopes import needs
from domain.access import EVERYDAY_SCOPES
from services.single_use_tokens import IssuedToken, issue_token

blp = Blueprint("tokens", __name__, description="Entry for one request")


@blp.route("/tokens")
class Tokens(MethodView):
    """Tokens."""

    @needs("any")  # a key gives no more than it has
    @blp.arguments(NewTokenSchema, location="json", required=False)
    @blp.response(201, TokenSchema)
    @blp.fails("media_type_unsupported", "validation_error", "option_invalid")
    def post(self, body: dict[str, Any]) -> IssuedToken:
        """Make a token that is good for one request, as `?token=` in its address."""
        principal = current_principal()
        scopes = body["scopes"] or [scope for scope in EVERYDAY_SCOPES if principal.may(scope)]
        return issue_token(current_services(), principal, scopes, ttl_s=body["ttl_s"])
