"""From values to answers: pages from templates, JSON, files, and errors as either."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from evidence.report.document import as_json
from evidence.report.templates import render
from evidence.service.web.access import Role, Who

# A pack's page brings its own script and style; in a sandbox it is of no origin, and can ask this server for nothing in the reader's name.
PACK_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'none'; sandbox allow-scripts allow-downloads"
)
FILE_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
PDF_POLICY = "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'; frame-ancestors 'none'"
_SHOWN = {
    ".html": ("text/html; charset=utf-8", PACK_POLICY),
    ".pdf": ("application/pdf", PDF_POLICY),
    ".json": ("application/json", FILE_POLICY),
    ".txt": ("text/plain; charset=utf-8", FILE_POLICY),
}
_NAVIGATION = (
    ("/clusters", "Clusters", frozenset({Role.OWNER})),
    ("/snapshots", "Snapshots", frozenset(Role)),
    ("/timeline", "Timeline", frozenset({Role.OWNER})),
    ("/packs", "Packs", frozenset(Role)),
    ("/log", "Log", frozenset(Role)),
)


def wants_json(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def address(path: str, **parameters: object) -> str:
    """A link within the application; parameters that are None or empty are left out."""
    said = {name: value for name, value in parameters.items() if value not in (None, "")}
    return f"{path}?{urlencode(said)}" if said else path


def part(text: str) -> str:
    """One part of a path."""
    return quote(text, safe="")


def page(template: str, who: Who | None, values: Mapping[str, Any], code: int = 200) -> Response:
    """A page; `values` beside what every page has."""
    role = who.role if who else None
    common = {
        "who": who,
        "navigation": [(path, title) for path, title, roles in _NAVIGATION if role in roles],
        "address": address,
        "part": part,
        "role": role.value if role else "",
    }
    text = render(f"web/{template}", {**common, **values})
    return Response(text, code, media_type="text/html; charset=utf-8")


def value(answer: Any) -> Response:
    """A value as JSON."""
    return JSONResponse(as_json(answer))


def failure(
    request: Request, who: Who | None, code: int, words: str, headers: Mapping[str, str] | None = None
) -> Response:
    """An error as a page or as JSON, whichever was asked for."""
    if wants_json(request):
        return JSONResponse({"error": words}, code, headers=headers)
    answer = page("error.html.j2", who, {"title": _TITLES.get(code, "Not possible"), "words": words}, code)
    answer.headers.update(headers or {})
    return answer


_TITLES = {
    400: "That cannot be asked",
    401: "Not logged in",
    403: "Not for you",
    404: "Not there",
    405: "Not possible",
    500: "That went wrong",
    503: "Not now",
}


def file(where: Path) -> Response:
    """A file of a pack: pages, PDF, JSON and text are shown, each under a policy of its own, anything else is a download."""
    kind, policy = _SHOWN.get(where.suffix, ("", FILE_POLICY))
    download = "text/csv; charset=utf-8" if where.suffix == ".csv" else "application/octet-stream"
    disposition = "inline" if kind else "attachment"
    answer = FileResponse(where, media_type=kind or download, filename=where.name, content_disposition_type=disposition)
    answer.headers["content-security-policy"] = policy
    return answer
