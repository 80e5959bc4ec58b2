"""Which web pages may call this server from a browser: none, unless CORS_ORIGINS names them."""

from flask import Flask
from flask_cors import CORS

from config import Settings

EXPOSED = [
    "Location",
    "Retry-After",
    "Retry-After-Ms",
    "X-Should-Retry",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "X-Request-ID",
    "X-Job-ID",
    "Idempotency-Replayed",
    "Tus-Resumable",
    "Tus-Version",
    "Tus-Extension",
    "Tus-Max-Size",
    "Upload-Offset",
    "Upload-Length",
    "Upload-Expires",
]
PREFLIGHT_MAX_AGE_S = 600


def install_cors(app: Flask, settings: Settings) -> None:
    """Answer browsers of the named origins. Credentials are never allowed: keys go by header."""
    origins = settings.allowed_origins
    if origins:
        CORS(
            app,
            origins=list(origins),
            expose_headers=EXPOSED,
            supports_credentials=False,
            max_age=PREFLIGHT_MAX_AGE_S,
            vary_header=True,
        )
