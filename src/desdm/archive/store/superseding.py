"""Which products of an attempt are superseded by those of another attempt at the same unit.

Attempts are compared product by product: file type and band, for calibrations also the CCD. So a run of one band, or of
some CCDs, supersedes its own products and nothing else. Two kinds of products are not mixed from several attempts:

- products of all bands of a tile together (detection image, catalogues, picture; `FileType.all_bands`): the attempt
  with more bands stands, of two with as many the newer;
- the products of an exposure, whose CCDs share one astrometric solution and one sky: the attempt that was to process more
  CCDs stands, of two with as many the newer.

Before all that counts the order of `standing`, and the run class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, and_, case, exists, literal, not_, or_, select
from sqlalchemy.sql.elements import ColumnElement

from desdm.archive.filetypes import BY_NAME
from desdm.archive.model import Scope
from desdm.archive.store.common import among, packed
from desdm.archive.store.search import in_scope, tagged
from desdm.archive.store.standing import BLESSED, FLAGGED, order_of_columns, usable
from desdm.errors import WCLError
from desdm.schema import (
    METADATA_TABLES,
    CopyState,
    desfile,
    file_archive_info,
    pfw_attempt,
    pfw_attempt_val,
    pfw_request,
)
from desdm.wcl.ranges import split_range

__all__ = ["Rival", "Spoiled", "ccds_tried", "partial", "superseded"]

#: A product: file type and band.
_Product = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Spoiled:
    """Products of an attempt that must not be used: each with its CCD, and those of which no file may be used."""

    products: frozenset[tuple[str, str | None, int | None]]
    whole: frozenset[_Product]


@dataclass(frozen=True, slots=True)
class Rival:
    """Another attempt at the unit of an attempt, with what it has and where it comes before.

    Attributes
    ----------
    products
        File types and bands of which it has files.
    first
        It comes before by run class, standing and number.
    first_of_bands, first_of_ccds
        It comes before where the bands of a tile, or the CCDs of an exposure, go together.
    ccds
        CCDs that it was to process, where both attempts say theirs.
    covers
        They are all that the other attempt was to process.
    spoiled
        Products of it, with CCD, that must not be used themselves.
    """

    products: frozenset[_Product]
    first: bool
    first_of_bands: bool
    first_of_ccds: bool
    ccds: frozenset[int] | None
    covers: bool
    spoiled: frozenset[tuple[str, str | None, int | None]] = frozenset()

    def supersedes(self, filetype: str, band: str | None, ccdnum: int | None) -> bool:
        """Whether a product of the other attempt is superseded by this one's.

        Parameters
        ----------
        filetype
            File type of the product.
        band
            Its band; None: of no band.
        ccdnum
            Its CCD number; None: of no single CCD.
        """
        kind = BY_NAME.get(filetype)
        if kind is not None and kind.all_bands:
            return self.first_of_bands and any(name == filetype for name, _ in self.products)
        if (filetype, band) not in self.products:
            return False
        calibration = kind is not None and kind.table == "calibration" and filetype.startswith("cal_")
        if calibration and (filetype, band, ccdnum) in self.spoiled:
            return False
        if self.ccds is None:
            return self.first
        if calibration:
            return self.first and (self.covers if ccdnum is None else ccdnum in self.ccds)
        return self.first_of_ccds


def superseded(
    conn: Connection,
    attempts: Sequence[int],
    scope: Scope | None = None,
    *,
    blessed: bool = False,
    tag_condition: Callable[[ColumnElement[object]], ColumnElement[bool]] | None = None,
    spoiled: Mapping[int, Spoiled] | None = None,
) -> dict[int, tuple[Rival, ...] | None]:
    """Return the rivals of each attempt that has some; None: its data are not for use at all.

    An attempt whose data are JUNK or PRUNED, or that lies outside ``scope``, is not for use. A rival is another attempt at
    the same unit with the same pipeline, project and campaign that would be taken itself. Without a scope attempts of one
    run class compete among themselves only; with one, an attempt of a class that the scope prefers comes first.

    Parameters
    ----------
    attempts
        Numbers of the attempts to look at.
    scope
        Attempts that may be used; None: all.
    blessed
        Only blessed attempts are for use, as in a release.
    tag_condition
        Only files with a tag are wanted, so that others supersede nothing; as of `tagged`.
    spoiled
        Products that must not be used, by attempt: they supersede nothing.
    """
    if not attempts:
        return {}
    by_attempt: dict[int, tuple[Rival, ...] | None] = dict.fromkeys(_unfit(conn, attempts, scope, blessed))
    pairs = [p for p in _pairs(conn, attempts, scope, blessed) if p[0] not in by_attempt]
    everyone = sorted({number for mine, other, *_ in pairs for number in (mine, other)})
    products = _products(conn, everyone, tag_condition)
    bad = spoiled or {}
    for number in bad.keys() & products.keys():
        products[number] = products[number] - bad[number].whole
    tried = ccds_tried(conn, everyone)
    rivals: dict[int, list[Rival]] = {}
    for mine, other, my_place, other_place in pairs:
        if products.get(other):
            one = _rival(mine, other, my_place, other_place, products, tried)
            if other in bad:
                one = replace(one, spoiled=bad[other].products)
            rivals.setdefault(mine, []).append(one)
    return by_attempt | {number: tuple(some) for number, some in rivals.items()}


def _rival(
    mine: int,
    other: int,
    my_place: tuple[int, int],
    other_place: tuple[int, int],
    products: dict[int, set[_Product]],
    tried: dict[int, frozenset[int]],
) -> Rival:
    """The other attempt as a rival of mine; places are run class and standing, the lower comes first."""

    def first(my_parts: int, other_parts: int) -> bool:
        return (*other_place, -other_parts, -other) < (*my_place, -my_parts, -mine)

    my_ccds, other_ccds = tried.get(mine), tried.get(other)
    listed = my_ccds is not None and other_ccds is not None
    return Rival(
        frozenset(products[other]),
        first(0, 0),
        first(_bands(products.get(mine, ())), _bands(products[other])),
        first(len(my_ccds or ()), len(other_ccds or ())) if listed else first(0, 0),
        other_ccds if listed else None,
        (my_ccds or frozenset()) <= (other_ccds or frozenset()),
    )


def _bands(products: Iterable[_Product]) -> int:
    """How many bands an attempt has products of."""
    return len({band for _, band in products if band})


def _unfit(conn: Connection, attempts: Sequence[int], scope: Scope | None, blessed: bool) -> Sequence[int]:
    """The attempts that are not for use at all."""
    query = _unfit_query(conn.dialect.name, scope, blessed)
    return conn.execute(query, {"among": packed(conn, attempts)}).scalars().all()


# Each search of the catalogue asks these two queries; building them costs more than running them.
@lru_cache(maxsize=64)
def _unfit_query(dialect: str, scope: Scope | None, blessed: bool) -> Select[Any]:
    """Return the query of `_unfit`."""
    order = order_of_columns(pfw_attempt)
    unfit: ColumnElement[bool] = order != BLESSED if blessed else not_(usable(pfw_attempt))
    if scope is not None:
        unfit = or_(unfit, not_(in_scope(scope)))
    return (
        select(pfw_attempt.c.id)
        .join(pfw_request, pfw_request.c.reqnum == pfw_attempt.c.reqnum)
        .where(among(dialect, pfw_attempt.c.id), unfit)
    )


def _pairs(
    conn: Connection, attempts: Sequence[int], scope: Scope | None, blessed: bool
) -> list[tuple[int, int, tuple[int, int], tuple[int, int]]]:
    """Each attempt with each other that competes with it, and the places of both: run class and standing."""
    query = _pairs_query(conn.dialect.name, scope, blessed)
    return [
        (row[0], row[1], (row[2], row[3]), (row[4], row[5]))
        for row in conn.execute(query, {"among": packed(conn, attempts)})
    ]


@lru_cache(maxsize=64)
def _pairs_query(dialect: str, scope: Scope | None, blessed: bool) -> Select[Any]:
    """Return the query of `_pairs`: both attempts, run class and standing of the first, then of the other."""
    mine, other = pfw_attempt.alias("mine"), pfw_attempt.alias("other")
    my_request, other_request = pfw_request.alias("my_request"), pfw_request.alias("other_request")
    my_order, other_order = order_of_columns(mine), order_of_columns(other)
    my_rank: ColumnElement[int] = literal(0)
    other_rank: ColumnElement[int] = literal(0)
    if scope is None or len(scope.run_classes) == 1:
        competes = and_(other.c.run_class == mine.c.run_class)
    else:
        rank = {c.value: at for at, c in enumerate(scope.run_classes)}
        my_rank = case(rank, value=mine.c.run_class, else_=len(rank))
        other_rank = case(rank, value=other.c.run_class, else_=len(rank))
        # A class outside the scope competes with nothing.
        competes = and_(other_rank < len(rank))
    return (
        select(mine.c.id, other.c.id, my_rank, my_order, other_rank, other_order)
        .select_from(
            mine.join(my_request, my_request.c.reqnum == mine.c.reqnum)
            .join(other, and_(other.c.unitname == mine.c.unitname, other.c.id != mine.c.id))
            .join(
                other_request,
                and_(
                    other_request.c.reqnum == other.c.reqnum,
                    other_request.c.pipeline == my_request.c.pipeline,
                    other_request.c.project == my_request.c.project,
                    other_request.c.campaign == my_request.c.campaign,
                ),
            )
        )
        .where(among(dialect, mine.c.id), other_order <= (BLESSED if blessed else FLAGGED), competes)
    )


def _products(
    conn: Connection,
    attempts: Sequence[int],
    tag_condition: Callable[[ColumnElement[object]], ColumnElement[bool]] | None,
) -> dict[int, set[_Product]]:
    """File types and bands of which attempts have files as registered, and tagged if that is requested."""
    products: dict[int, set[_Product]] = {}
    if not attempts:
        return products
    present = exists().where(
        file_archive_info.c.desfile_id == desfile.c.id, file_archive_info.c.state == CopyState.OK.value
    )
    for table in METADATA_TABLES.values():
        query = (
            select(desfile.c.pfw_attempt_id, desfile.c.filetype, table.c.band)
            .join(table, table.c.desfile_id == desfile.c.id)
            .where(among(conn, desfile.c.pfw_attempt_id), present)
        )
        if tag_condition is not None:
            query = query.where(tagged(tag_condition))
        for attempt, filetype, band in conn.execute(query.distinct(), {"among": packed(conn, attempts)}):
            products.setdefault(attempt, set()).add((filetype, band))
    return products


def ccds_tried(conn: Connection, attempts: Sequence[int]) -> dict[int, frozenset[int]]:
    """Return the CCDs that attempts were to process, dead ones among them; of attempts that say so in their settings."""
    if not attempts:
        return {}
    v = pfw_attempt_val.c
    query = select(v.pfw_attempt_id, v.val).where(
        among(conn, v.pfw_attempt_id), v.key.in_(("ccdnum", "dead_ccdnum"))
    )
    ccds: dict[int, frozenset[int]] = {}
    for attempt, text in conn.execute(query, {"among": packed(conn, attempts)}):
        try:
            numbers = frozenset(int(item) for item in split_range(text))
        except (WCLError, ValueError):
            # What an old or hand-written WCL says of CCDs may be no list of numbers: then nothing is known.
            continue
        ccds[attempt] = ccds.get(attempt, frozenset()) | numbers
    return ccds


def partial(tried: Mapping[int, frozenset[int]], orders: Mapping[int, int]) -> set[int]:
    """Return the attempts that were to process only some of the CCDs that another one was to process.

    Parameters
    ----------
    tried
        CCDs by attempt, all of one exposure; see `ccds_tried`.
    orders
        BLESSED, FLAGGED or UNFIT by attempt: one that comes later makes none partial.
    """
    return {
        mine
        for mine, ccds in tried.items()
        if any(ccds < others and orders[other] <= orders[mine] for other, others in tried.items())
    }
