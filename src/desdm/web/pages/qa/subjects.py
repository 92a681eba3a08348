"""Pages of exposures, CCDs, tiles, runs and files: all that is known of one, and the forms to mark and exclude it."""

from __future__ import annotations

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from desdm.accounts.clock import now
from desdm.accounts.model import Action
from desdm.errors import NotFoundError, UsageError
from desdm.operations.acceptance import exclude_exposure, lift_exclusion
from desdm.operations.qa.focalplane import focal_plane_svg
from desdm.operations.qa.marks import DEFECT_SEVERITIES, mark_subject
from desdm.operations.qa.pictures import Pictures
from desdm.operations.qa.subjectfacts import (
    Details,
    SubjectFacts,
    default_reason,
    details_of,
    read_subject,
    remarks,
)
from desdm.quality.qa import store
from desdm.quality.qa.subjects import find_subject
from desdm.schema.operationstates import SubjectKind
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import Endpoint, Handler
from desdm.services.parameters import Values
from desdm.services.responses import run_blocking
from desdm.web.pages.deskforms import Form, Refusal, filters, perform, posted
from desdm.web.pages.qa.parts import CODES, address_of, mark_order, page_picture, production, require_visible
from desdm.web.qaendpoints import CCD, EXCLUDE_FORM, EXPOSURE, FILE, MARK_FORM, RUN, TILE
from desdm.web.render import page

__all__ = ["subject_forms", "subject_handlers"]

_NONE = Refusal()
_KINDS = {
    "exposure": SubjectKind.EXPOSURE,
    "ccd": SubjectKind.CCD,
    "tile": SubjectKind.TILE,
    "run": SubjectKind.ATTEMPT,
    "file": SubjectKind.FILE,
}
_WORDS = {
    SubjectKind.EXPOSURE: "Exposure",
    SubjectKind.CCD: "CCD of an exposure",
    SubjectKind.TILE: "Tile of the sky",
    SubjectKind.ATTEMPT: "Run",
    SubjectKind.FILE: "File",
}
#: Columns of the table of CCDs: numbers that most cameras have.
_COLUMNS = ("fwhm", "ellipticity", "sky", "zeropoint", "goodfrac", "saturated_frac", "cray_frac")
#: CCDs of which the table of an exposure shows marks; a focal plane has at most these.
_MOST_METRICS = 60


class _Pages:
    """Renders the pages of subjects."""

    def __init__(self, services: Services, pictures: Pictures) -> None:
        self._services, self._pictures = services, pictures
        self._scope = production(services)

    def show(
        self,
        request: Request,
        kind: SubjectKind,
        name: str,
        values: Values | None = None,
        refusal: Refusal = _NONE,
    ) -> Response:
        """Render the page of a subject.

        Parameters
        ----------
        request
            Request of the caller.
        kind, name
            Kind of the page, and name of the subject.
        values
            Parameters in the address; None: none.
        refusal
            Why a form was refused.
        """
        caller, path = caller_of(request), request.url.path
        metric = values.text("METRIC").strip() if values is not None else ""
        band = values.text("BAND").strip() if values is not None and kind is SubjectKind.TILE else ""
        with self._services.database.read() as conn:
            facts = self._read(conn, request, kind, name, path, band)
            details = details_of(conn, facts, self._scope, self._services.config.releases)
            subject = facts.subject
            own = subject.attempt_id is not None and (
                store.operator_of(conn, subject.attempt_id) == caller.login
            )
        sees = caller.may(Action.SEE_OPERATIONS)
        dispatches = [one for one in details.dispatches if sees or one[0].working_group in caller.groups]
        picture = page_picture(
            self._pictures, subject, facts.sources, mask=values.flag("MASK") if values is not None else False
        )
        metrics = _metrics(details)
        chosen = metric if metric in metrics else next((m for m in _COLUMNS if m in metrics), "")
        here = address_of(subject.kind, subject.name)
        return page(
            request,
            "qa/subject.html",
            refusal.status,
            facts=facts,
            details=details,
            dispatches=dispatches,
            picture=picture,
            here=here,
            own=own,
            sees=sees,
            may_judge=caller.may(Action.JUDGE),
            reason=default_reason(facts),
            remarks=remarks(facts),
            kind=_WORDS[subject.kind],
            metrics=metrics,
            metric=chosen,
            band=facts.sources.band if facts.sources is not None else "",
            bands=facts.sources.bands if facts.sources is not None else (),
            plane=_plane(details, chosen),
            columns=[column for column in _COLUMNS if any(column in c.numbers for c in details.ccds)],
            cut=_cut(facts),
            ccds=[c.ccdnum for c in details.ccds],
            refusal=refusal,
            codes=CODES,
            severities=DEFECT_SEVERITIES,
            address=address_of,
        )

    def _read(
        self, conn: Connection, request: Request, kind: SubjectKind, name: str, path: str, band: str
    ) -> SubjectFacts:
        """Return what there is to see of a subject that the caller may see."""
        caller = caller_of(request)
        try:
            subject = find_subject(conn, name, self._scope)
            if subject.kind is not kind:
                raise NotFoundError(
                    f"{name} is not a {kind.value} but a {subject.kind.value}; its page is "
                    f"{address_of(subject.kind, subject.name)}"
                )
            require_visible(conn, caller, subject, path)
            return read_subject(conn, name, self._scope, band=band)
        except NotFoundError as err:
            if caller.may(Action.SEE_OPERATIONS):
                raise
            # Who may not see it does not learn whether it is there.
            raise NotFoundError(f"there is nothing at {path}") from err


def subject_handlers(services: Services, pictures: Pictures) -> list[tuple[Endpoint, Handler]]:
    """Return the endpoints of the pages of subjects with their handlers.

    Parameters
    ----------
    services
        Shared state of the services.
    pictures
        The installation's pictures.
    """
    pages = _Pages(services, pictures)

    def handler(endpoint: Endpoint, kind: SubjectKind) -> Handler:
        async def show(request: Request) -> Response:
            values, name = filters(request, endpoint), str(request.path_params["subject"])
            return await run_blocking(services, lambda: pages.show(request, kind, name, values))

        return show

    endpoints = (EXPOSURE, CCD, TILE, RUN, FILE)
    return [(one, handler(one, _KINDS[one.path.split("/")[2]])) for one in endpoints]


def subject_forms(services: Services, pictures: Pictures) -> list[tuple[Endpoint, Handler]]:
    """Return the forms of the pages of subjects with their handlers.

    Parameters
    ----------
    services
        Shared state of the services.
    pictures
        The installation's pictures.
    """
    pages, scope = _Pages(services, pictures), production(services)

    def again(request: Request, form: Form, refusal: Refusal) -> Response:
        """Render the page of the subject of a form that was refused."""
        name = form.text("page") or form.text("subject")
        with services.database.read() as conn:
            subject = find_subject(conn, name, scope)
        return pages.show(request, subject.kind, subject.name, None, refusal)

    async def mark(request: Request) -> Response:
        form = await posted(request)

        def act() -> str:
            order = mark_order(form, cut=form.text("cut") or "firstcut")
            with services.database.write() as conn:
                done = mark_subject(
                    conn, form.text("subject"), order, who=caller_of(request).login, scope=scope, now=now()
                )
            return f"{address_of(done.subject.kind, done.subject.name)}#marks"

        return await perform(services, form, act, lambda refusal: again(request, form, refusal))

    async def exclude(request: Request) -> Response:
        form = await posted(request)

        def act() -> str:
            who, reason = caller_of(request).login, form.text("reason")
            with services.database.write() as conn:
                subject = find_subject(conn, form.text("subject"), scope)
                if subject.expnum is None:
                    raise UsageError(f"{subject.name} is not an exposure or CCD; only these are excluded")
                ccdnum = subject.ccdnum or form.whole("ccdnum", "number of the CCD, 0: the whole exposure")
                verb = lift_exclusion if form.text("act") == "lift" else exclude_exposure
                verb(conn, subject.expnum, ccdnum, reason=reason, who=who, scope=scope)
                back = find_subject(conn, form.text("page") or subject.name, scope)
            return f"{address_of(back.kind, back.name)}#exclusions"

        return await perform(services, form, act, lambda refusal: again(request, form, refusal))

    return [(MARK_FORM, mark), (EXCLUDE_FORM, exclude)]


def _metrics(details: Details) -> list[str]:
    """Return the names of the numbers of single CCDs."""
    return sorted({number.metric for number in details.numbers})[:_MOST_METRICS]


def _plane(details: Details, metric: str) -> str:
    """Return the picture of a number over the focal plane as SVG; empty without one."""
    of_ccd = {n.ccdnum: n for n in details.numbers if n.metric == metric}
    if len(of_ccd) < 2:
        return ""
    return focal_plane_svg([of_ccd[number] for number in sorted(of_ccd)])


def _cut(facts: SubjectFacts) -> str:
    """Return the pipeline of an exposure whose run counts."""
    text = facts.standing.view.parts.get("verdict", ())
    return "finalcut" if text and text[0].startswith("finalcut") else "firstcut"
