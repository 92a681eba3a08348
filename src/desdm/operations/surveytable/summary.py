"""Sums of the survey table by programme and band, and its fields as a few places on the sky."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from desdm.operations.surveytable.model import Field, FieldStatus
from desdm.survey.bands import band_order

__all__ = ["PROGRAMMES", "Place", "Sums", "places_of", "programme_of", "sums_of"]

#: Programme → how its fields begin; DES names the ten fields of its supernova programme SN-C1 … SN-X3.
PROGRAMMES = {"supernova": "SN", "wide": ""}
#: Places of a picture, beyond which they are put together in cells of this many degrees.
_MOST_PLACES, _CELL = 2600, 2.0


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of a programme in a band: fields, those done, exposures that count, t_eff, its goal, and what is owed."""

    programme: str
    band: str
    fields: int
    done: int
    exposures: int
    t_eff: float
    t_eff_goal: float
    owed: float


@dataclass(frozen=True, slots=True)
class Place:
    """A place on the sky (ICRS, deg) with the part of its fields that is done; `begun`: some exposure counts."""

    ra: float
    dec: float
    done: float
    begun: bool


def programme_of(field: Field) -> str:
    """Return the programme of a field, by its name."""
    return next(name for name, begin in PROGRAMMES.items() if field.hex.upper().startswith(begin))


def sums_of(fields: Iterable[FieldStatus]) -> list[Sums]:
    """Return the sums of fields by programme and band; t_eff beyond a field's goal does not count for others."""
    groups: dict[tuple[str, str], list[FieldStatus]] = defaultdict(list)
    for status in fields:
        groups[programme_of(status.field), status.field.band].append(status)
    programmes = list(PROGRAMMES)[::-1]
    return [
        Sums(
            programme,
            band,
            len(those),
            sum(s.done for s in those),
            sum(len(s.accepted) for s in those),
            sum(min(s.t_eff, s.field.t_eff_goal) for s in those),
            sum(s.field.t_eff_goal for s in those),
            sum(s.owed for s in those),
        )
        for (programme, band), those in sorted(
            groups.items(), key=lambda item: (programmes.index(item[0][0]), band_order(item[0][1]))
        )
    ]


def places_of(fields: Sequence[FieldStatus]) -> list[Place]:
    """Return the places of fields, one for all fields of a pointing, or of a cell of the sky where these are too many."""
    pointings: dict[tuple[float, float], list[FieldStatus]] = defaultdict(list)
    for status in fields:
        pointings[round(status.field.ra, 3), round(status.field.dec, 3)].append(status)
    if len(pointings) > _MOST_PLACES:
        cells: dict[tuple[float, float], list[FieldStatus]] = defaultdict(list)
        for (ra, dec), those in pointings.items():
            cells[_CELL * (ra // _CELL + 0.5), _CELL * (dec // _CELL + 0.5)] += those
        pointings = cells
    return [
        Place(ra, dec, sum(s.done for s in those) / len(those), any(s.accepted for s in those))
        for (ra, dec), those in sorted(pointings.items())
    ]
