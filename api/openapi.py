"""The API as flask-smorest sees it: our error shape, our specification."""

from typing import Any

from flask import Flask
from flask.json.provider import DefaultJSONProvider
from flask_smorest import Api as SmorestApi

from api import (
    admin,
    audit,
    batches,
    docs,
    events,
    health,
    jobs,
    keys,
    results,
    resumable,
    tenant_limits,
    tokens,
    transcriptions,
    usage,
    webhooks,
)
from api.doors.assemblyai import exports as assemblyai
from api.doors.deepgram import views as deepgram
from api.doors.elevenlabs import tokens as elevenlabs
from api.doors.native import views as native_jobs
from api.doors.openai import audio as openai_audio
from api.doors.openai import models as openai_models
from api.errors import handle_http_error
from api.schemas.errors import ErrorSchema
from api.security import SECURITY_SCHEMES

BLUEPRINTS = (
    transcriptions.blp,
    resumable.blp,
    batches.blp,
    results.blp,
    jobs.blp,
    events.blp,
    health.blp,
    admin.blp,
    keys.blp,
    tokens.blp,
    audit.blp,
    webhooks.blp,
    usage.blp,
    tenant_limits.blp,
    assemblyai.blp,
    deepgram.blp,
    elevenlabs.blp,
    openai_audio.blp,
    openai_models.blp,
    native_jobs.blp,
)


class Api(SmorestApi):  # type: ignore[misc]
    """Answers refused requests in the one error shape."""

    ERROR_SCHEMA = ErrorSchema

    def handle_http_exception(self, error: Any) -> Any:
        """As `handle_http_error`; the library registers this method."""
        return handle_http_error(error)


class JsonProvider(DefaultJSONProvider):
    """Times as ISO 8601 everywhere, also in parts that no schema describes."""

    sort_keys = False

    @staticmethod
    def default(o: Any) -> Any:
        """Turn a value into JSON types."""
        return o.isoformat() if hasattr(o, "isoformat") else DefaultJSONProvider.default(o)


def install_api(app: Flask) -> None:
    """Register every route, `/openapi.json` and `/docs`."""
    app.json = JsonProvider(app)
    app.config.update(
        API_TITLE="Scriptorium",
        API_VERSION="1.0",
        OPENAPI_VERSION="3.0.3",  # the newest that the bundled Swagger UI draws
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={
            "info": {
                "description": "Recordings in, transcripts out. Every failure has one shape, "
                "with a stable code; every answer carries X-Request-ID."
            },
            "components": {"securitySchemes": SECURITY_SCHEMES},
        },
    )
    api = Api(app)
    for blueprint in BLUEPRINTS:
        api.register_blueprint(blueprint)
    app.register_blueprint(docs.blp)
