"""The API's description, OpenAPI 3.1, derived from the table of views and the classes of their values."""

from collections.abc import Mapping
from typing import Any

from evidence import __version__
from evidence.report.document import definitions_of
from evidence.service.web.access import Role
from evidence.service.web.asked import Kind, Parameter
from evidence.service.web.views import VIEWS, View

API = "/api/v1"
DOCUMENT = "/api/openapi.json"

_TYPES: Mapping[Kind, Mapping[str, Any]] = {
    Kind.TEXT: {"type": "string"},
    Kind.NUMBER: {"type": "integer"},
    Kind.TIME: {"type": "string", "format": "date-time"},
    Kind.DAY: {"type": "string", "format": "date"},
}
_ERRORS = {
    "400": "A parameter is wrong; the sentence says which and what it may be.",
    "401": "Nobody is logged in.",
    "403": "This user may not see it.",
    "404": "There is no such thing.",
    "503": "The store is away, or the server is computing as much as it may; ask again later.",
}


def document() -> dict[str, Any]:
    """The whole description."""
    definitions: dict[str, Any] = definitions_of([view.answer for view in VIEWS], "#/components/schemas/")
    definitions["Error"] = {
        "description": "What is wrong, in one sentence.",
        "type": "object",
        "properties": {"error": {"type": "string"}},
        "required": ["error"],
        "additionalProperties": False,
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "evidence",
            "version": __version__,
            "description": "Read-only: clusters, snapshots, findings, the timeline, reachability, packs and the log of one store. Times are UTC.",
        },
        "paths": {_path(view): {"get": _operation(view)} for view in VIEWS},
        "components": {"schemas": dict(sorted(definitions.items()))},
    }


def _path(view: View) -> str:
    return API + view.path.replace(":int}", "}")


def _operation(view: View) -> dict[str, Any]:
    roles = " and the ".join(role.value for role in Role if role in view.roles)
    return {
        "operationId": view.operation,
        "summary": view.summary,
        "description": f"For the {roles}.",
        "parameters": [_parameter(parameter) for parameter in view.parameters],
        "responses": {
            "200": {"description": "The value.", "content": _json(view.answer.__name__)},
            **{code: {"description": words, "content": _json("Error")} for code, words in _ERRORS.items()},
        },
    }


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = dict(_TYPES[parameter.kind])
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    if parameter.kind is Kind.NUMBER:
        schema |= {"minimum": parameter.least, "maximum": parameter.most}
    if parameter.default is not None:
        schema["default"] = parameter.default
    return {
        "name": parameter.name,
        "in": "path" if parameter.in_path else "query",
        "required": parameter.required,
        "description": parameter.about,
        "schema": schema,
    }
