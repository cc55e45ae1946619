"""The API: what programs of any language ask, described at `/openapi.json`."""

from flask import Blueprint as Routes

from server.api import blueprints, changing, clients, deciding, reading, serving
from server.api.endpoint import routes as endpoints
from server.api.openapi import documents

__all__ = ["blueprints", "changing", "clients", "deciding", "reading", "routes", "serving"]
routes = Routes("v1", __name__)
routes.register_blueprint(endpoints)
routes.register_blueprint(documents)
