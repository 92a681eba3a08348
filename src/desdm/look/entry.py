"""The functions of a quick look; each opens the installation for reading and imports late."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from typing import TypeAlias

    from astropy.table import Table

    from desdm.look.ancestry import Ancestry
    from desdm.look.exposures import Exposure
    from desdm.look.nights import Night
    from desdm.look.runs import Run
    from desdm.look.tiles import Tile

    Home: TypeAlias = str | os.PathLike[str] | None

__all__ = ["catalog", "exposure", "lineage", "night", "run", "tile"]


def exposure(expnum: int | str, home: Home = None) -> Exposure:
    """Return an exposure: its verdict, exclusions, problems, runs, CCDs and numbers.

    Parameters
    ----------
    expnum
        Number (229686) or name (D00229686) of the exposure.
    home
        Directory of the installation; None: ``$DESDM_HOME``, or the one that holds the working directory.

    Raises
    ------
    NotFoundError
        No file of the archive is of the exposure; the message names the nearest ones.
    ConfigError
        There is no installation, or its schema is not that of this program.
    """
    from desdm.look.exposures import read_exposure
    from desdm.look.installation import installation

    return read_exposure(installation(home), expnum)


def tile(name: str, home: Home = None) -> Tile:
    """Return a tile: its coadds by band, objects, inputs and picture, of the run that stands.

    Parameters
    ----------
    name
        Name of the tile (DES0200-0500).
    home
        Directory of the installation, see `exposure`.

    Raises
    ------
    NotFoundError
        There is no coadd of the tile that stands; the message names its runs, or the tiles that exist.
    """
    from desdm.look.installation import installation
    from desdm.look.tiles import read_tile

    return read_tile(installation(home), name)


def night(nite: int | str, home: Home = None) -> Night:
    """Return a night: its exposures with their verdicts as a table, and plots of its course.

    Parameters
    ----------
    nite
        Night, YYYYMMDD.
    home
        Directory of the installation, see `exposure`.

    Raises
    ------
    NotFoundError
        The archive has no raw frame of the night; the message names the nearest nights.
    """
    from desdm.look.installation import installation
    from desdm.look.nights import read_night

    return read_night(installation(home), str(nite))


def run(name: str, home: Home = None) -> Run:
    """Return a run: its state, modules, messages, numbers and files.

    Parameters
    ----------
    name
        Name of the run (D00229686_r3p01).
    home
        Directory of the installation, see `exposure`.

    Raises
    ------
    NotFoundError
        There is no such run; for the name of a unit the message names its runs.
    """
    from desdm.look.installation import installation
    from desdm.look.runs import read_run

    return read_run(installation(home), name)


def catalog(file: str, home: Home = None, *, hdu: str | int | None = None) -> Table:
    """Return the table in a file of the archive: FITS or Parquet.

    Parameters
    ----------
    file
        Name of the file.
    home
        Directory of the installation, see `exposure`.
    hdu
        Name or number of the HDU with the table; None: the objects of a catalogue, or the only table.

    Raises
    ------
    NotFoundError
        There is no such file, or it has no such HDU; the message names those that exist.
    FileTypeError
        The file holds no table.
    CorruptFile
        Its bytes are not as registered.
    """
    from desdm.look.installation import installation
    from desdm.look.tables import archived_table

    return archived_table(installation(home), file, hdu)


def lineage(file: str, home: Home = None) -> Ancestry:
    """Return what a file was made from and what was made from it; ``print`` shows both as trees.

    Parameters
    ----------
    file
        Name of the file.
    home
        Directory of the installation, see `exposure`.

    Raises
    ------
    NotFoundError
        There is no such file; the message names files that are called alike.
    """
    from desdm.look.ancestry import read_ancestry
    from desdm.look.installation import installation

    return read_ancestry(installation(home), file)
