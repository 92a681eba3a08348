"""Records of the survey table."""

from __future__ import annotations

from dataclasses import dataclass, field

from desdm.schema.states import Verdict

__all__ = ["Coverage", "Field", "FieldStatus", "Pointing", "TileStatus"]


@dataclass(frozen=True, slots=True)
class Field:
    """One row of the survey's plan: a pointing in one band.

    Attributes
    ----------
    hex, tiling
        Hexagon or supernova field, and which of the overlapping layers.
    ra, dec
        ICRS [deg].
    exptime
        Planned exposure time [s].
    priority
        The least is observed first.
    t_eff_goal
        Sum of t_eff at which it is done.
    season
        Season in which it is due; empty: the plan has none.
    season_begin, season_end
        First and last night of the season, YYYYMMDD; empty: the plan does not say.
    """

    hex: str
    tiling: int
    band: str
    ra: float
    dec: float
    exptime: float
    t_eff_goal: float
    priority: int = 0
    season: str = ""
    season_begin: str = ""
    season_end: str = ""

    @property
    def name(self) -> str:
        """Name of the row as people write it."""
        return f"{self.hex}/{self.tiling}/{self.band}"


@dataclass(frozen=True, slots=True)
class Pointing:
    """A raw exposure of the sky: what it was of, and what it is worth.

    Attributes
    ----------
    ra, dec
        Centre, ICRS [deg]; None: the header does not say.
    title
        Title of the observation.
    verdict
        Verdict that counts; None: none yet.
    t_eff
        Effective over real exposure time; None: not known.
    excluded
        Whether the whole exposure is excluded.
    """

    expnum: int
    nite: str
    band: str
    title: str
    ra: float | None
    dec: float | None
    exptime: float
    verdict: Verdict | None
    t_eff: float | None
    excluded: bool

    @property
    def counts(self) -> bool:
        """Whether it counts for its field: accepted, not excluded, and with a t_eff."""
        return self.verdict is Verdict.ACCEPTED and not self.excluded and self.t_eff is not None


@dataclass(frozen=True, slots=True)
class FieldStatus:
    """What stands in the survey table for one field.

    Attributes
    ----------
    accepted
        Exposures that count, in order.
    rejected, undecided
        Exposures that do not: rejected or excluded; without a verdict or with Unknown, or accepted without a t_eff.
    t_eff
        Sum of t_eff of the accepted ones.
    last_nite
        Night of the last accepted exposure; empty: none.
    counting
        The exposures that count themselves, in order.
    """

    field: Field
    accepted: tuple[int, ...] = ()
    rejected: int = 0
    undecided: int = 0
    t_eff: float = 0.0
    last_nite: str = ""
    counting: tuple[Pointing, ...] = ()

    @property
    def done(self) -> bool:
        """Whether the goal is reached."""
        return self.t_eff >= self.field.t_eff_goal

    @property
    def owed(self) -> float:
        """t_eff that is missing."""
        return max(0.0, self.field.t_eff_goal - self.t_eff)


@dataclass(frozen=True, slots=True)
class TileStatus:
    """Depth of a tile in a band, of what counts in the coadd that stands.

    Attributes
    ----------
    run
        Coadd that stands.
    exposures
        Exposures in it that count for the survey (`Pointing.counts`).
    t_eff
        Sum of their t_eff.
    exptime
        Sum of their exposure times [s].
    withdrawn
        Exposures in it that do not count, or no longer: with any, the tile is to be coadded again.
    """

    tilename: str
    band: str
    run: str
    exposures: int
    t_eff: float
    exptime: float
    withdrawn: int = 0


@dataclass(frozen=True, slots=True)
class Coverage:
    """The survey table as of one moment.

    Attributes
    ----------
    fields
        Every field of the plan, by priority and name.
    elsewhere
        Exposures of the sky that are of no field of the plan.
    tiles
        Tiles by name and band.
    """

    fields: tuple[FieldStatus, ...]
    elsewhere: tuple[Pointing, ...] = ()
    tiles: tuple[TileStatus, ...] = field(default=())
