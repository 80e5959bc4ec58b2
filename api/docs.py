"""/docs: Swagger UI from the pinned wheel, served by us; nothing is fetched from elsewhere."""

from importlib.resources import files

from flask import Blueprint, Response, abort, send_from_directory, url_for
from markupsafe import escape

blp = Blueprint("docs", __name__)

ASSETS = files("swagger_ui_bundle") / "vendor" / "swagger-ui-4.15.5"
SERVED = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
ASSET_MAX_AGE_S = 3600
# `data:` holds the icons inside the stylesheet; everything else is a file of ours.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Scriptorium API</title>
<link rel="stylesheet" href="{css}">
<link rel="icon" type="image/png" href="{icon}">
</head>
<body>
<div id="swagger-ui" data-spec="{spec}"></div>
<script src="{bundle}"></script>
<script src="{start}"></script>
</body>
</html>
"""
# validatorUrl null: the badge would send the specification to a public service.
START = """"use strict";
const element = document.getElementById("swagger-ui");
window.ui = SwaggerUIBundle({
  url: element.dataset.spec,
  domNode: element,
  deepLinking: true,
  validatorUrl: null,
});
"""


@blp.get("/docs")
def show_docs() -> Response:
    """The page."""
    page = PAGE.format(
        css=_address("swagger-ui.css"),
        icon=_address("favicon-32x32.png"),
        bundle=_address("swagger-ui-bundle.js"),
        start=escape(url_for("docs.show_start")),
        spec=escape(url_for("api-docs.openapi_json")),
    )
    response = Response(page, mimetype="text/html")
    response.headers["Content-Security-Policy"] = CSP
    return response


@blp.get("/docs/start.js")
def show_start() -> Response:
    """The few lines that start the page; a file, so that no inline script need be allowed."""
    return Response(START, mimetype="text/javascript")


@blp.get("/docs/assets/<string:name>")
def show_asset(name: str) -> Response:
    """One of the few files that the page needs."""
    if name not in SERVED:
        abort(404)
    return send_from_directory(str(ASSETS), name, max_age=ASSET_MAX_AGE_S)


def _address(name: str) -> str:
    return str(escape(url_for("docs.show_asset", name=name)))
