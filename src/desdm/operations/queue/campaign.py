"""Campaigns: a frozen set of exposures or tiles with one pipeline and its settings, queued under a name of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from desdm.config import Config
from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.framework.settings import UNIT_KEYS, KnownSettings
from desdm.framework.store.tiles import tile_row
from desdm.numbers import counted
from desdm.operations.queue import store
from desdm.operations.queue.model import QueueRow
from desdm.pipelines import get
from desdm.schema.operationstates import QueueState
from desdm.schema.states import EventKind
from desdm.schema.store import exposure_name, record_event, require_reason

__all__ = ["Campaign", "queue_campaign"]

#: Most names that a message lists.
_LISTED = 5
#: Settings of a coadd that say where its tile lies.
_GEOMETRY = ("tile_ra", "tile_dec", "tile_naxis", "tile_pixscale")


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign.

    Attributes
    ----------
    name
        Name: the campaign of its attempts.
    pipeline
        Pipeline that processes each unit.
    exposures, tiles
        Exposure numbers or names of tiles: one of them is empty.
    settings
        Settings of each attempt, by dotted key.
    rank, max_tries
        Order in the queue, and attempts at most if failures are transient.
    """

    name: str
    pipeline: str
    exposures: tuple[int, ...] = ()
    tiles: tuple[str, ...] = ()
    settings: Mapping[str, str] | None = None
    rank: int = 100
    max_tries: int = 3


def queue_campaign(
    conn: Connection,
    config: Config,
    campaign: Campaign,
    *,
    reason: str,
    who: str,
    now: datetime,
    dry_run: bool = False,
) -> list[QueueRow]:
    """Queue a campaign: its set, pipeline and settings never change afterwards.

    Parameters
    ----------
    conn
        Connection in a transaction.
    config
        The installation.
    campaign
        The campaign.
    reason, who
        Why, and who queues it.
    now
        Time, UTC.
    dry_run
        Check and return the rows, write nothing.

    Returns
    -------
    list of QueueRow
        Its rows.

    Raises
    ------
    UsageError
        No reason, no units, units of the wrong kind, or a setting that the pipeline does not know.
    NotFoundError
        An exposure is not in the archive, or a tile in the table of tiles.
    ConflictError
        A campaign of that name is queued already, or it is that of production.
    """
    require_reason(reason)
    settings = dict(campaign.settings or {})
    pipeline = get(campaign.pipeline)
    known = KnownSettings(pipeline)
    known.check(settings)
    known.check_values(settings)
    if campaign.name == config.campaign:
        raise ConflictError(
            f"{campaign.name} is the campaign of production, which policies queue; give another name"
        )
    if store.find_rows(conn, campaign=campaign.name, limit=1):
        raise ConflictError(
            f"campaign {campaign.name} is queued already, and its set is frozen; give another name"
        )
    units = _units(conn, campaign, pipeline.unit)
    why = f"campaign {campaign.name}: {reason.strip()}"
    key = UNIT_KEYS.get(pipeline.unit, pipeline.unit)
    rows = [
        QueueRow(
            id=0,
            unitname=unit.name,
            pipeline=pipeline.name,
            campaign=campaign.name,
            nite=unit.nite,
            expnum=unit.expnum,
            band=unit.band,
            programme="",
            state=QueueState.WAITING,
            rank=campaign.rank,
            why=why,
            due_at=None,
            tries=0,
            max_tries=campaign.max_tries,
            settings={**_settings_of_unit(conn, config, unit, settings), key: str(unit.expnum or unit.name)},
            arrived_at=now,
            updated_at=now,
        )
        for unit in units
    ]
    if dry_run:
        return rows
    for row in rows:
        store.insert_row(conn, row)
    text = f"campaign {campaign.name} queued: {pipeline.name} of {counted(len(rows), 'unit')}"
    record_event(conn, EventKind.QUEUE, who, text, subject=f"campaign {campaign.name}", reason=reason.strip())
    return rows


def _settings_of_unit(
    conn: Connection, config: Config, unit: store.Unit, settings: Mapping[str, str]
) -> Mapping[str, str]:
    """Return the settings of a unit: of a tile with its geometry, and with images of production, unless they are set."""
    if unit.expnum is not None:
        return settings
    own = dict(settings)
    if not any(key.startswith("inputs.") for key in settings):
        own["inputs.campaign"] = config.campaign
    if not any(key in settings for key in _GEOMETRY):
        row = tile_row(conn, unit.name)
        if row is None:
            raise NotFoundError(
                f"tile {unit.name} is not in table coaddtile_geom; add it: desdm tile add {unit.name} RA DEC"
            )
        values = (row["ra_cent"], row["dec_cent"], row["naxis1"], row["pixelscale"])
        own |= {key: str(value) for key, value in zip(_GEOMETRY, values, strict=True)}
    return own


def _units(conn: Connection, campaign: Campaign, unit: str) -> Sequence[store.Unit]:
    """Return the units of a campaign, each once; an error if they are not those that the pipeline processes."""
    if bool(campaign.exposures) == bool(campaign.tiles):
        raise UsageError("give the exposures of the campaign (--exposures) or its tiles (--tiles)")
    if unit != ("exposure" if campaign.exposures else "tile"):
        raise UsageError(
            f"pipeline {campaign.pipeline} works on a {unit}; give {'--exposures' if unit == 'exposure' else '--tiles'}"
        )
    if campaign.tiles:
        return [store.Unit(name, None, "", "") for name in dict.fromkeys(campaign.tiles)]
    known = store.exposures_in_archive(conn, campaign.exposures)
    missing = sorted(set(campaign.exposures) - {one.expnum for one in known})
    if missing:
        names = ", ".join(exposure_name(number) for number in missing[:_LISTED])
        more = f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
        raise NotFoundError(f"{names}{more}: no raw file is in the archive; see: desdm ingest")
    return known
