"""The desk of quality assessment: review queue, pages of subjects, and their pictures, over one cache of pictures."""

from __future__ import annotations

from starlette.routing import BaseRoute

from desdm.accounts.model import Action
from desdm.operations.qa.pictures import Pictures
from desdm.services.context import Services
from desdm.web.desk import desk_routes
from desdm.web.pages.qa.pictures import picture_handlers
from desdm.web.pages.qa.review import review_handlers
from desdm.web.pages.qa.subjects import subject_forms, subject_handlers

__all__ = ["routes"]


def routes(services: Services) -> list[BaseRoute]:
    """Routes of the desk."""
    pictures = Pictures(services.archive, services.config.home / "cache" / "pictures")
    return [
        *desk_routes([*review_handlers(services, pictures), *subject_forms(services, pictures)]),
        # Members of a working group reach these too, and see what was sent to their group.
        *desk_routes(
            [*picture_handlers(services, pictures), *subject_handlers(services, pictures)],
            or_action=Action.ANSWER,
        ),
    ]
