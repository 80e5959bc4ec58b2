"""The web process. Nothing happens at import: `create_app` makes everything."""

from flask import Flask

from api.audit import install_audit
from api.auth import authenticate
from api.body import drain_refused_body
from api.cors import install_cors
from api.current import EVENTS, EXTENSION, KEY_RING
from api.errors import handle_own_error, handle_unexpected_error
from api.limits import install_limits
from api.openapi import install_api
from api.request_log import install_request_log
from api.uploads import discard_uploads
from config import Settings, load_settings
from domain.errors import ScriptoriumError
from services.context import Services, build_services
from services.event_hub import EventHub
from services.key_ring import KeyRing
from services.log_context import configure_logging

MAX_PLAIN_BODY_BYTES = 1024 * 1024  # uploads raise this for themselves


def create_app(settings: Settings | None = None, services: Services | None = None) -> Flask:
    """The application. Reads the settings when none are given; raises ConfigurationError.

    With `services` given, logging is left to the caller.
    """
    if services is None:
        settings = settings or load_settings()
        configure_logging(settings.log_level, settings.log_format)
        services = build_services(settings)
    settings = settings or services.settings
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_PLAIN_BODY_BYTES
    app.url_map.strict_slashes = False
    app.extensions[EXTENSION] = services
    app.extensions[EVENTS] = EventHub(services)
    app.extensions[KEY_RING] = KeyRing()
    install_request_log(app)
    app.before_request(authenticate)
    install_limits(app)
    install_audit(app)
    install_cors(app, settings)
    install_api(app)
    app.after_request(drain_refused_body)
    app.register_error_handler(ScriptoriumError, handle_own_error)
    app.register_error_handler(Exception, handle_unexpected_error)
    app.teardown_request(discard_uploads)
    return app
