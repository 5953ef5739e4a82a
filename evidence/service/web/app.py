"""The application: a route for each view, as a page and as JSON; probes, metrics, the packs' files; and what stands before all of them.

Every route asks who it is that asks, and whether that role may see it, but for the probes, the style sheet and what logging in takes. Nothing
is ever changed by a request, but for the session of who logs in or out.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from evidence.errors import EvidenceError, NotThereError, UsageError
from evidence.pipeline.browse.packs import pack_file
from evidence.pipeline.browse.snapshots import WhichCluster
from evidence.report.templates import template_text
from evidence.service.web import openapi, pages
from evidence.service.web.access import BOTH, OWNER, Authentication, Network, Refused, Role, Who, within
from evidence.service.web.asked import Asked, read
from evidence.service.web.desk import Busy
from evidence.service.web.guard import Guard, refusal
from evidence.service.web.metrics import CONTENT_TYPE, Metrics
from evidence.service.web.site import Site, Unavailable
from evidence.service.web.views import VIEWS, View

_ADDRESSED = frozenset({"/healthz", "/readyz"})  # asked by address rather than by name
_LATER = {"retry-after": "5"}

Answer = Callable[[Request, Who], Response]


@dataclass(frozen=True, slots=True)
class Door:
    """How the application may be reached. `names` are those that the Host header may be; `metrics_from`: networks that read the metrics without
    authentication; `secure`: people reach it by https."""

    authentication: Authentication
    names: Collection[str]
    metrics_from: Sequence[Network] = ()
    secure: bool = False


def build(site: Site, door: Door) -> Guard:
    """The whole application."""
    metrics = Metrics(site)
    login = door.authentication.login()
    guarded = _Guarded(door.authentication, login.path if login else None)

    def scraped(scope: Scope) -> bool:
        client = scope.get("client")
        return scope["path"] == "/metrics" and client is not None and within(client[0], door.metrics_from)

    def numbers() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    owners_numbers = guarded(OWNER, lambda *_: numbers())
    routes = [
        Route("/healthz", lambda _: PlainTextResponse("ok\n")),
        Route("/readyz", _readiness(site)),
        Route("/metrics", lambda request: numbers() if scraped(request.scope) else owners_numbers(request)),
        Route("/style.css", _style()),
        Route("/", guarded(BOTH, _home)),
        Route(openapi.DOCUMENT, guarded(BOTH, lambda *_: JSONResponse(openapi.document()))),
        Route("/packs/{folder}/files/{path:path}", guarded(BOTH, _file(site))),
    ]
    for view in VIEWS:
        routes.append(Route(view.path, guarded(view.roles, _page(site, view))))
        routes.append(Route(openapi.API + view.path, guarded(view.roles, _json(site, view))))
    middleware = []
    if login:
        routes += login.routes
        middleware.append(Middleware(SessionMiddleware, **login.session))
    errors: dict[Any, Any] = {HTTPException: _http_error, Exception: _fault}
    return Guard(
        Starlette(routes=routes, middleware=middleware, exception_handlers=errors),
        names=frozenset(door.names),
        exempt=lambda scope: scope["path"] in _ADDRESSED or scraped(scope),
        secure=door.secure,
        answered=metrics.answered,
        patterns={route.endpoint: route.path for route in routes},
    )


# -- who may --------------------------------------------------------------------------------------------------------


class _Guarded:
    """Makes an endpoint of an answer: asks who it is, and gives a sentence for all that goes wrong."""

    def __init__(self, authentication: Authentication, login: str | None) -> None:
        self._authentication = authentication
        self._login = login

    def __call__(self, roles: frozenset[Role], answer: Answer) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            try:
                who = self._authentication.who(request)
            except Refused as error:
                return pages.failure(request, None, 403, str(error))
            if who is None:
                return self._unknown(request)
            if who.role is None:
                words = f"{who.name} is in no group that may see anything here; ask whoever runs this server"
                return pages.failure(request, who, 403, words)
            if who.role not in roles:
                words = (
                    "this is for the owner; an auditor sees packs, their files, the log, and how snapshots were taken"
                )
                return pages.failure(request, who, 403, words)
            return _answered(request, who, answer)

        return endpoint

    def _unknown(self, request: Request) -> Response:
        login = self._login
        if login is None or pages.wants_json(request) or request.url.path == "/metrics":
            return pages.failure(request, None, 401, "log in first")
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(pages.address(login, next=asked), 303)


def _answered(request: Request, who: Who, answer: Answer) -> Response:
    try:
        return answer(request, who)
    except NotThereError as error:
        return pages.failure(request, who, 404, str(error))
    except UsageError as error:
        return pages.failure(request, who, 400, str(error))
    except Busy as error:
        return pages.failure(request, who, 503, str(error), _LATER)
    except (Unavailable, EvidenceError) as error:
        words = str(error) if who.role is Role.OWNER else "that cannot be read at the moment; the owner sees why"
        return pages.failure(request, who, 503 if isinstance(error, Unavailable) else 500, words, _LATER)


# -- views ------------------------------------------------------------------------------------------------------------


def _json(site: Site, view: View) -> Answer:
    def answer(request: Request, _who: Who) -> Response:
        asked = read(view.parameters, request.query_params.multi_items(), request.path_params)
        return pages.value(view.make(site, asked))

    return answer


def _page(site: Site, view: View) -> Answer:
    def answer(request: Request, who: Who) -> Response:
        query = request.query_params.multi_items()
        common = {"title": view.title, "here": request.url.path, "problem": ""}
        if view.is_form and not query:
            return _form(site, view, who, common, _as_given(view, request))
        try:
            asked = read(view.parameters, query, request.path_params)
            made = view.make(site, asked)
        except WhichCluster as error:
            return pages.page("which.html.j2", who, {**common, "names": error.names, "query": dict(query)})
        except NotThereError:
            raise
        except UsageError as error:
            if not view.is_form:
                raise
            return _form(site, view, who, {**common, "problem": str(error)}, _as_given(view, request), 400)
        query_alone = {each.name: asked[each.name] for each in view.parameters if not each.in_path}
        shown = {
            **common,
            "view": made,
            "asked": asked,
            "query": query_alone,
            **view.pictures(made),
            **view.beside(site, asked),
        }
        return pages.page(view.template, who, shown)

    return answer


def _form(site: Site, view: View, who: Who, common: Mapping[str, Any], asked: Asked, code: int = 200) -> Response:
    """The page of a view that is asked by a form, without an answer."""
    return pages.page(
        view.template, who, {**common, "view": None, "asked": asked, "query": {}, **view.beside(site, asked)}, code
    )


def _as_given(view: View, request: Request) -> Asked:
    """The parameters as they were given, for the form to show again. Raises UsageError where the path itself is wrong."""
    path = read([each for each in view.parameters if each.in_path], (), request.path_params)
    query = request.query_params
    return {each.name: path.get(each.name, query.get(each.name, each.default)) for each in view.parameters}


def _home(_request: Request, who: Who) -> Response:
    return RedirectResponse("/clusters" if who.role is Role.OWNER else "/packs", 303)


def _file(site: Site) -> Answer:
    def answer(request: Request, _who: Who) -> Response:
        return pages.file(pack_file(site.plan.archive, request.path_params["folder"], request.path_params["path"]))

    return answer


def _style() -> Callable[[Request], Response]:
    text = template_text("base.css") + template_text("web/web.css")

    def endpoint(_request: Request) -> Response:
        return Response(text, media_type="text/css; charset=utf-8", headers={"cache-control": "public, max-age=300"})

    return endpoint


def _readiness(site: Site) -> Callable[[Request], Response]:
    def endpoint(_request: Request) -> Response:
        try:
            with site.store():
                return PlainTextResponse("ready\n")
        except Unavailable:  # the address of the database is not for everybody who may ask
            return PlainTextResponse("the store cannot be read, or is of another version\n", 503)

    return endpoint


# -- errors -----------------------------------------------------------------------------------------------------------


def _http_error(request: Request, error: Exception) -> Response:
    code = error.status_code if isinstance(error, HTTPException) else 500
    if code == 404:
        return (
            refusal(404, "there is nothing here")
            if pages.wants_json(request)
            else pages.failure(request, None, 404, "There is nothing here.")
        )
    return refusal(code, "that is not possible here")


def _fault(request: Request, _error: Exception) -> Response:
    return pages.failure(request, None, 500, "this is a fault of evidence itself; the server's log says more")
