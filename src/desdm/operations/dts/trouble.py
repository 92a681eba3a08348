"""Problems of deliveries: opened by the robot, closed with the decision of a person."""

from __future__ import annotations

from sqlalchemy import Connection

from desdm.errors import NotFoundError
from desdm.operations.dts.model import Delivery
from desdm.release.problems import close_problem, open_problem
from desdm.schema.operationstates import Resolution

__all__ = ["ROBOT", "close_trouble", "open_trouble"]

#: Author of what this package does by itself.
ROBOT = "dts"


def open_trouble(conn: Connection, delivery: Delivery, text: str) -> int:
    """Open the problem of a delivery that is quarantined; it blocks nothing, since its bytes are not in the archive."""
    return open_problem(
        conn,
        "delivery",
        str(delivery.id),
        f"delivery {delivery.id} of {delivery.source}, {delivery.filename}, is quarantined: {text}",
        blocks=False,
        who=ROBOT,
    )


def close_trouble(conn: Connection, delivery: Delivery, resolution: str, who: str) -> None:
    """Close the problem of a delivery; one that a person has closed already is no error."""
    if delivery.problem_id is None:
        return
    try:
        # The file is as it was: a decision takes its effect away.
        close_problem(conn, delivery.problem_id, resolution, who=who, code=Resolution.WORKED_ROUND)
    except NotFoundError:
        return
