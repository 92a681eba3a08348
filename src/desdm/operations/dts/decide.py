"""Decisions of people on deliveries that are quarantined."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection

from desdm.errors import ConflictError, NotFoundError
from desdm.operations.dts import store
from desdm.operations.dts.inspection import WAIVABLE
from desdm.operations.dts.model import Delivery
from desdm.operations.dts.trouble import close_trouble
from desdm.schema.database import Database
from desdm.schema.operationstates import DeliveryReason, DeliveryState
from desdm.schema.states import EventKind
from desdm.schema.store import exposure_name, record_event, require_reason

__all__ = ["dismiss", "release"]


def release(database: Database, number: int, *, reason: str, who: str, dry_run: bool = False) -> Delivery:
    """Have a delivery judged again, without the rule that refused it where a person may waive that.

    Wrong checksum, number of images, keywords and proposal may be waived; waivers add up. What is cut off, is not FITS, or
    contradicts the archive is judged by all rules again: its file may have been replaced where it is put aside.

    Parameters
    ----------
    database
        Database of the installation.
    number
        Number of the delivery.
    reason
        Why, in the words of ``who``.
    who
        Person who decides.
    dry_run
        Write nothing.

    Returns
    -------
    Delivery
        The delivery before the decision.

    Raises
    ------
    NotFoundError
        No such delivery.
    ConflictError
        It is not quarantined.
    """
    require_reason(reason)
    with database.write() as conn:
        delivery = _quarantined(conn, number)
        if dry_run:
            return delivery
        code = delivery.reason_code
        waived = delivery.waived | ({code} & WAIVABLE if code is not None else frozenset())
        store.change(
            conn,
            delivery,
            DeliveryState.DELIVERED,
            reason_code=None,
            waived=",".join(sorted(rule.value for rule in waived)),
            reason=None,
            tries=0,
            next_try=None,
            problem_id=None,
        )
        _record(conn, delivery, _released(delivery, waived), reason, who)
        close_trouble(conn, delivery, f"released: {reason}", who)
    return delivery


def dismiss(
    database: Database, number: int, *, reason: str, who: str, now: datetime, dry_run: bool = False
) -> Delivery:
    """Decide that a delivery that is quarantined is not needed; its file stays where it is put aside.

    Parameters
    ----------
    database
        Database of the installation.
    number
        Number of the delivery.
    reason
        Why, in the words of ``who``.
    who
        Person who decides.
    now
        Current time, UTC.
    dry_run
        Write nothing.

    Returns
    -------
    Delivery
        The delivery before the decision.

    Raises
    ------
    NotFoundError
        No such delivery.
    ConflictError
        It is not quarantined.
    """
    require_reason(reason)
    with database.write() as conn:
        delivery = _quarantined(conn, number)
        if dry_run:
            return delivery
        store.change(conn, delivery, DeliveryState.DISMISSED, checked_at=now)
        _record(conn, delivery, f"delivery {number} is dismissed: {delivery.filename}", reason, who)
        close_trouble(conn, delivery, f"dismissed: {reason}", who)
    return delivery


def _quarantined(conn: Connection, number: int) -> Delivery:
    """Return a delivery that is quarantined."""
    delivery = store.find_delivery(conn, number, lock=True)
    if delivery is None:
        raise NotFoundError(f"no delivery {number}; see: desdm dts status")
    if delivery.state is not DeliveryState.QUARANTINED:
        raise ConflictError(
            f"delivery {number} is {delivery.state.value}; only one that is quarantined can be decided on"
        )
    return delivery


def _released(delivery: Delivery, waived: Collection[DeliveryReason]) -> str:
    """Return what a release does, in words."""
    rules = ", ".join(sorted(rule.value for rule in waived))
    without = f" without the rules {rules}" if rules else ""
    return f"delivery {delivery.id} is judged again{without}: {delivery.filename}"


def _record(conn: Connection, delivery: Delivery, text: str, reason: str, who: str) -> None:
    """Record the act of a person on a delivery."""
    subject = delivery.filename if delivery.expnum is None else exposure_name(delivery.expnum)
    record_event(conn, EventKind.DELIVERY, who, text, subject=subject, reason=reason)
