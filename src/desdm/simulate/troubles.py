"""Kinds of troubles of a simulated month: what is wrong, and what a correct system does."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from desdm.errors import UsageError
from desdm.schema.operationstates import DeliveryReason, DeliveryState
from desdm.simulate.shots import Shot
from desdm.simulate.sky import generator

__all__ = ["Trouble", "TroubleKind", "place_troubles", "troubled_shot"]


class TroubleKind(StrEnum):
    """What is wrong."""

    WRONG_MD5 = "wrong_md5"
    TRUNCATED = "truncated"
    WRONG_HDUS = "wrong_hdus"
    KEYWORD_MISSING = "keyword_missing"
    DUPLICATE_SAME = "duplicate_same"
    DUPLICATE_OTHER = "duplicate_other"
    NIGHTS_LATE = "nights_late"
    NEVER_SENT = "never_sent"
    FOREIGN_PROPID = "foreign_propid"
    JUNK_TITLE = "junk_title"
    CLOUDS = "clouds"
    DEAD_AMPLIFIER = "dead_amplifier"
    BAD_CALIBRATION = "bad_calibration"
    WORKER_KILLED = "worker_killed"
    DATABASE_CUT = "database_cut"


#: Proposal of exposures that are not of the survey.
FOREIGN = "2013A-0741"
#: Keywords of which one is left out.
_KEYWORDS = ("EXPTIME", "EXPNUM", "OBSTYPE")
#: Seconds for which the database does not answer.
CUT = 60

_QUARANTINED, _INGESTED = DeliveryState.QUARANTINED, DeliveryState.INGESTED
#: End of the delivery and its reason; troubles without a delivery have none.
_ENDS: dict[TroubleKind, tuple[DeliveryState, DeliveryReason | None]] = {
    TroubleKind.WRONG_MD5: (_QUARANTINED, DeliveryReason.CHECKSUM),
    TroubleKind.TRUNCATED: (_QUARANTINED, DeliveryReason.TRUNCATED),
    TroubleKind.WRONG_HDUS: (_QUARANTINED, DeliveryReason.STRUCTURE),
    TroubleKind.KEYWORD_MISSING: (_QUARANTINED, DeliveryReason.KEYWORD),
    TroubleKind.DUPLICATE_SAME: (DeliveryState.DUPLICATE, DeliveryReason.DUPLICATE),
    TroubleKind.DUPLICATE_OTHER: (_QUARANTINED, DeliveryReason.CONFLICT),
    TroubleKind.NIGHTS_LATE: (_INGESTED, None),
    TroubleKind.NEVER_SENT: (DeliveryState.EXPECTED, None),
    TroubleKind.FOREIGN_PROPID: (_QUARANTINED, DeliveryReason.PROPID),
    TroubleKind.JUNK_TITLE: (_INGESTED, None),
    TroubleKind.CLOUDS: (_INGESTED, None),
    TroubleKind.DEAD_AMPLIFIER: (_INGESTED, None),
}
_DOES = {
    TroubleKind.WRONG_MD5: "quarantine the file and open a problem; do not process the exposure",
    TroubleKind.TRUNCATED: "quarantine the file and open a problem; do not process the exposure",
    TroubleKind.WRONG_HDUS: "quarantine the file and open a problem; do not process the exposure",
    TroubleKind.KEYWORD_MISSING: "quarantine the file and open a problem; do not process the exposure",
    TroubleKind.DUPLICATE_SAME: "put the second file aside; process the exposure once",
    TroubleKind.DUPLICATE_OTHER: "quarantine the second file and open a problem; process the first file once",
    TroubleKind.NIGHTS_LATE: "tell it as late and missing until it arrives; then process it with its own night",
    TroubleKind.NEVER_SENT: "tell it as late and missing",
    TroubleKind.FOREIGN_PROPID: "quarantine the file and open a problem; do not process the exposure",
    TroubleKind.JUNK_TITLE: "take the file into the archive; do not process the exposure, since its title says junk",
    TroubleKind.CLOUDS: "process the exposure; its verdict is False",
    TroubleKind.DEAD_AMPLIFIER: "process the exposure; put the CCD up for review, as an outlier or with findings",
    TroubleKind.BAD_CALIBRATION: "do not use the dome flats of the band and night; take those of the nearest good night",
    TroubleKind.WORKER_KILLED: "retry the attempt; each exposure of the night has one verdict",
    TroubleKind.DATABASE_CUT: "wait and go on; no attempt and no file twice",
}
_DRIVER = {
    TroubleKind.WORKER_KILLED: "send SIGKILL to a worker of a firstcut attempt of the night while it runs",
    TroubleKind.DATABASE_CUT: f"cut the connection to the database for {CUT} s while the night is processed",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """A trouble, and what a correct system does.

    Attributes
    ----------
    number
        Number of the trouble, from 1.
    nite, band, expnum
        Night; band and exposure where it has one.
    filename, file
        Name of the file, and its place in the month's directory; empty where no file is delivered.
    ccdnum, amplifier, keyword
        Of a dead amplifier; of a keyword that is missing.
    end_state, reason_code
        End of the delivery, and its reason.
    processed
        Whether the exposure is processed.
    verdict
        Verdict on the exposure, where it is not that of the night: ``False``.
    late, missing
        What the comparison with the observatory's list tells at the end.
    driver
        What whoever drives the month has to do; empty: nothing.
    correct
        What a correct system does, in words.
    """

    number: int
    kind: TroubleKind
    nite: str
    band: str = ""
    expnum: int | None = None
    filename: str = ""
    file: str = ""
    ccdnum: int | None = None
    amplifier: str = ""
    keyword: str = ""
    end_state: DeliveryState | None = None
    reason_code: DeliveryReason | None = None
    processed: bool = True
    verdict: str = ""
    late: bool = False
    missing: bool = False
    driver: str = ""
    correct: str = ""

    def document(self) -> dict[str, object]:
        """Return it as in ``troubles.json``."""
        return asdict(self)


#: Kinds of which no image of the exposure is processed.
_LOST = (
    TroubleKind.WRONG_MD5,
    TroubleKind.TRUNCATED,
    TroubleKind.WRONG_HDUS,
    TroubleKind.KEYWORD_MISSING,
    TroubleKind.NEVER_SENT,
    TroubleKind.FOREIGN_PROPID,
    TroubleKind.JUNK_TITLE,
)
_OF_NIGHTS = (TroubleKind.BAD_CALIBRATION, TroubleKind.WORKER_KILLED, TroubleKind.DATABASE_CUT)


def place_troubles(
    shots: tuple[Shot, ...], count: int, seed: int, ccdnums: tuple[int, ...]
) -> tuple[Trouble, ...]:
    """Draw which exposures and nights have which trouble; the kinds take turns.

    Each band keeps a good exposure in each night, and dome flats that are good in some night.

    Parameters
    ----------
    shots
        Exposures of the month.
    count
        Troubles.
    seed
        Seed of the choice.
    ccdnums
        CCDs of the camera.

    Raises
    ------
    UsageError
        There are not enough exposures or nights.
    """
    rng = generator(seed, 500)
    kinds = list(TroubleKind)
    nites = sorted({s.nite for s in shots})
    bands = sorted({s.band for s in shots if s.kind == "dome flat"})
    free: dict[tuple[str, str], list[Shot]] = {}
    for shot in shots:
        if shot.kind == "object":
            free.setdefault((shot.nite, shot.band), []).append(shot)
    # The first night has none before it whose dome flats could serve its exposures.
    flats = [(nite, band) for band in bands for nite in nites]
    out = []
    for number in range(1, count + 1):
        kind = kinds[(number - 1) % len(kinds)]
        if kind is TroubleKind.BAD_CALIBRATION:
            # One night of a band at most where there is another to fall back on, never two in a row.
            spare = [f for f in flats if f[0] != nites[0] and sum(band == f[1] for _, band in flats) > 1]
            if not spare:
                raise UsageError(f"{count} troubles need more nights: some night must keep good flats")
            nite, band = spare[int(rng.integers(len(spare)))]
            near = {nites[i] for i in range(len(nites)) if abs(i - nites.index(nite)) <= 1}
            flats = [f for f in flats if f[1] != band or f[0] not in near]
            out.append(_trouble(number, kind, nite, band=band))
            continue
        if kind in _OF_NIGHTS:
            out.append(_trouble(number, kind, nites[int(rng.integers(len(nites)))]))
            continue
        open_groups = [group for group in free.values() if len(group) > 1]
        if not open_groups:
            raise UsageError(f"{count} troubles need more exposures: give more nights, or --exposures")
        most = max(map(len, open_groups))
        # Spread over the nights: where most exposures are still good.
        groups = [group for group in open_groups if len(group) == most]
        group = groups[int(rng.integers(len(groups)))]
        shot = group.pop(int(rng.integers(len(group))))
        more: dict[str, object] = {}
        if kind is TroubleKind.DEAD_AMPLIFIER:
            more = {
                "ccdnum": ccdnums[int(rng.integers(len(ccdnums)))],
                "amplifier": "AB"[int(rng.integers(2))],
            }
        if kind is TroubleKind.KEYWORD_MISSING:
            more = {"keyword": _KEYWORDS[int(rng.integers(len(_KEYWORDS)))]}
        trouble = _trouble(number, kind, shot.nite, band=shot.band, expnum=shot.expnum)
        out.append(replace(trouble, filename=shot.filename, **more))  # type: ignore[arg-type]
    return tuple(out)


def _trouble(number: int, kind: TroubleKind, nite: str, band: str = "", expnum: int | None = None) -> Trouble:
    """Return a trouble with what a correct system does."""
    end_state, reason_code = _ENDS.get(kind, (None, None))
    return Trouble(
        number,
        kind,
        nite,
        band,
        expnum,
        end_state=end_state,
        reason_code=reason_code,
        processed=kind not in _LOST,
        verdict="False" if kind is TroubleKind.CLOUDS else "",
        late=kind in (TroubleKind.NIGHTS_LATE, TroubleKind.NEVER_SENT),
        missing=kind in _LOST and kind is not TroubleKind.JUNK_TITLE,
        driver=_DRIVER.get(kind, ""),
        correct=_DOES[kind],
    )


def troubled_shot(shot: Shot, troubles: tuple[Trouble, ...]) -> Shot:
    """Return an exposure with the troubles that are in its light or in its header."""
    for trouble in troubles:
        if trouble.kind is TroubleKind.BAD_CALIBRATION:
            if (shot.kind, shot.nite, shot.band) == ("dome flat", trouble.nite, trouble.band):
                # The lamp was off: some counts of stray light.
                shot = replace(shot, level=60.0, corner="lamp off")
        elif shot.expnum != trouble.expnum:
            continue
        elif trouble.kind is TroubleKind.FOREIGN_PROPID:
            shot = replace(shot, propid=FOREIGN)
        elif trouble.kind is TroubleKind.JUNK_TITLE:
            shot = replace(shot, title="junk", processed=False)
        elif trouble.kind is TroubleKind.CLOUDS:
            shot = replace(shot, cloud=1.5)
        elif trouble.kind is TroubleKind.DEAD_AMPLIFIER:
            shot = replace(shot, corner="dead amplifier", dead=(trouble.ccdnum or 0, trouble.amplifier))
    return shot
