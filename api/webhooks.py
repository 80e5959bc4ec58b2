"""/webhooks: addresses that are told what happens to a tenant's jobs, and the log of it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Response, url_for
from flask.views import MethodView

from api.blueprint import Blueprint
from api.current import current_services, current_tenant
from api.schemas.base import NoQuerySchema
from api.schemas.webhooks import (
    DeliveryListSchema,
    DeliveryQuerySchema,
    DeliveryWithBodySchema,
    EndpointChangesSchema,
    EndpointFormSchema,
    EndpointListSchema,
    EndpointSchema,
    EndpointSecretSchema,
    ReplayedSchema,
    ReplaySchema,
    RotationSchema,
    SecretSchema,
)
from domain.errors import DeliveryNotFound, WebhookNotFound
from services.webhooks.deliveries import (
    DeliveryFilter,
    DeliveryPage,
    DeliveryView,
    get_delivery,
    list_deliveries,
    replay_deliveries,
    retry_delivery,
    send_test,
)
from services.webhooks.endpoints import (
    EndpointView,
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    get_endpoint,
    list_endpoints,
    resume_endpoint,
    rotate_secret,
    rotate_tenant_secret,
)

blp = Blueprint("webhooks", __name__, url_prefix="/webhooks", description="Addresses that are told")

LOCATION_HEADER = {"Location": {"description": "The endpoint", "schema": {"type": "string"}}}
READ_CODES = ("option_invalid", "database_unavailable")
BODY_CODES = (*READ_CODES, "request_invalid", "media_type_unsupported", "validation_error")
LIST_CODES = (*READ_CODES, "validation_error", "cursor_invalid")


@blp.route("/")
class Webhooks(MethodView):
    """The endpoints of a tenant."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, EndpointListSchema)
    @blp.fails(*READ_CODES)
    def get(self, _query: dict[str, Any]) -> dict[str, list[EndpointView]]:
        """List the endpoints, oldest first."""
        return {"webhooks": list_endpoints(current_services(), current_tenant())}

    @blp.arguments(EndpointFormSchema, location="json")
    @blp.response(201, EndpointSecretSchema, headers=LOCATION_HEADER)
    @blp.fails(*BODY_CODES, "webhook_url_refused", "too_many_webhooks")
    def post(self, body: dict[str, Any]) -> Any:
        """Tell an address from now on what happens to jobs. The secret is shown this once."""
        endpoint = create_endpoint(current_services(), current_tenant(), **body)
        where = url_for("webhooks.Webhook", webhook_id=endpoint.id)
        return endpoint, 201, {"Location": where}


@blp.route("/rotate-secret")
class TenantSecret(MethodView):
    """The secret for addresses that jobs bring along."""

    @blp.arguments(RotationSchema, location="json", required=False)
    @blp.response(200, SecretSchema)
    @blp.fails(*BODY_CODES)
    def post(self, body: dict[str, Any]) -> EndpointView:
        """Make the secret that signs for `webhook_url` of jobs; it is shown this once."""
        return rotate_tenant_secret(current_services(), current_tenant(), **body)


@blp.route("/<string:webhook_id>")
class Webhook(MethodView):
    """One endpoint."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, EndpointSchema)
    @blp.fails(*READ_CODES, "webhook_not_found")
    def get(self, _query: dict[str, Any], webhook_id: str) -> EndpointView:
        """Show an endpoint."""
        return get_endpoint(current_services(), current_tenant(), parse_webhook_id(webhook_id))

    @blp.arguments(EndpointChangesSchema, location="json")
    @blp.response(200, EndpointSchema)
    @blp.fails(*BODY_CODES, "webhook_not_found", "webhook_url_refused")
    def patch(self, body: dict[str, Any], webhook_id: str) -> EndpointView:
        """Change an endpoint. What waits goes to the new address."""
        key = parse_webhook_id(webhook_id)
        return change_endpoint(current_services(), current_tenant(), key, body)

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(204)
    @blp.fails(*READ_CODES, "webhook_not_found")
    def delete(self, _query: dict[str, Any], webhook_id: str) -> Response:
        """Remove an endpoint with its messages."""
        delete_endpoint(current_services(), current_tenant(), parse_webhook_id(webhook_id))
        return Response(status=204)


@blp.route("/<string:webhook_id>/rotate-secret")
class WebhookSecret(MethodView):
    """The secret of an endpoint."""

    @blp.arguments(RotationSchema, location="json", required=False)
    @blp.response(200, EndpointSecretSchema)
    @blp.fails(*BODY_CODES, "webhook_not_found")
    def post(self, body: dict[str, Any], webhook_id: str) -> EndpointView:
        """Replace the secret; the old one signs as well for `overlap_h` hours."""
        key = parse_webhook_id(webhook_id)
        return rotate_secret(current_services(), current_tenant(), key, **body)


@blp.route("/<string:webhook_id>/test")
class WebhookTest(MethodView):
    """Whether an endpoint works."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(202, DeliveryWithBodySchema)
    @blp.fails(*READ_CODES, "webhook_not_found")
    def post(self, _query: dict[str, Any], webhook_id: str) -> DeliveryView:
        """Send a test message, once; look at the delivery for how it went."""
        return send_test(current_services(), current_tenant(), parse_webhook_id(webhook_id))


@blp.route("/<string:webhook_id>/resume")
class WebhookResume(MethodView):
    """The end of a pause."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, EndpointSchema)
    @blp.fails(*READ_CODES, "webhook_not_found")
    def post(self, _query: dict[str, Any], webhook_id: str) -> EndpointView:
        """Send again, beginning with what waited meanwhile."""
        return resume_endpoint(current_services(), current_tenant(), parse_webhook_id(webhook_id))


@blp.route("/<string:webhook_id>/replay")
class WebhookReplay(MethodView):
    """Messages that are to be sent again."""

    @blp.arguments(ReplaySchema, location="json")
    @blp.response(202, ReplayedSchema)
    @blp.fails(*BODY_CODES, "webhook_not_found")
    def post(self, body: dict[str, Any], webhook_id: str) -> dict[str, int]:
        """Send messages of a time range again, under the ids that they have."""
        body["until"] = body["until"] or datetime.now(UTC)
        key = parse_webhook_id(webhook_id)
        return {"count": replay_deliveries(current_services(), current_tenant(), key, **body)}


@blp.route("/<string:webhook_id>/deliveries")
class WebhookDeliveries(MethodView):
    """The log of an endpoint."""

    @blp.arguments(DeliveryQuerySchema, location="query")
    @blp.response(200, DeliveryListSchema)
    @blp.fails(*LIST_CODES, "webhook_not_found")
    def get(self, query: dict[str, Any], webhook_id: str) -> DeliveryPage:
        """List the messages to an endpoint, newest first."""
        return page_of(query, parse_webhook_id(webhook_id))


@blp.route("/deliveries")
class Deliveries(MethodView):
    """The log of a tenant."""

    @blp.arguments(DeliveryQuerySchema, location="query")
    @blp.response(200, DeliveryListSchema)
    @blp.fails(*LIST_CODES)
    def get(self, query: dict[str, Any]) -> DeliveryPage:
        """List the messages to all addresses, those of jobs included, newest first."""
        return page_of(query, None)


@blp.route("/deliveries/<string:delivery_id>")
class Delivery(MethodView):
    """One message."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, DeliveryWithBodySchema)
    @blp.fails(*READ_CODES, "delivery_not_found")
    def get(self, _query: dict[str, Any], delivery_id: str) -> DeliveryView:
        """Show a message: what is sent, and how each attempt went."""
        return get_delivery(current_services(), current_tenant(), parse_delivery_id(delivery_id))


@blp.route("/deliveries/<string:delivery_id>/retry")
class DeliveryRetry(MethodView):
    """One message that is to be sent again."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(202, DeliveryWithBodySchema)
    @blp.fails(*READ_CODES, "delivery_not_found")
    def post(self, _query: dict[str, Any], delivery_id: str) -> DeliveryView:
        """Send a message again, now, under the id that it has."""
        return retry_delivery(current_services(), current_tenant(), parse_delivery_id(delivery_id))


def page_of(query: dict[str, Any], webhook_id: UUID | None) -> DeliveryPage:
    """One page of the log, of one endpoint or of all."""
    cursor, limit = query.pop("cursor", None), query.pop("limit")
    filters = DeliveryFilter(endpoint_id=webhook_id, **query)
    return list_deliveries(
        current_services(), current_tenant(), filters, cursor=cursor, limit=limit
    )


def parse_webhook_id(value: str) -> UUID:
    """The id in an address. Raises WebhookNotFound for what is no UUID."""
    try:
        return UUID(value)
    except ValueError as error:
        raise WebhookNotFound("there is no endpoint with this id") from error


def parse_delivery_id(value: str) -> UUID:
    """The id in an address. Raises DeliveryNotFound for what is no UUID."""
    try:
        return UUID(value)
    except ValueError as error:
        raise DeliveryNotFound("there is no message with this id") from error
