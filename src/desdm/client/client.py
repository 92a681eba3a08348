"""A survey's data services as one Python object."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from typing_extensions import override

from desdm.client.connection import Connection, TruncatedWarning
from desdm.client.tables import as_format, as_upload, format_of, read_parquet
from desdm.client.vo import of_pyvo, quietly, translated

__all__ = ["Client"]


class Client:
    """The services at one address.

    Parameters
    ----------
    url
        Where ``desdm serve`` answers.
    token
        Token of an account (``desdm account token``); default ``$DESDM_TOKEN``, else anybody.

    Examples
    --------
    >>> client = Client("http://127.0.0.1:8080")
    >>> client.query("SELECT TOP 5 ra, dec FROM Y6.objects")  # doctest: +SKIP
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self.connection = Connection(url, token)

    @override
    def __repr__(self) -> str:
        """Address, and whether a token goes along; never the token."""
        known = "Authorization" in self.connection.session.headers
        return f"Client({self.connection.url!r}{', with a token' if known else ''})"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.connection.session.close()

    def query(
        self,
        adql: str,
        format: str = "table",
        *,
        async_: bool = False,
        uploads: Mapping[str, Any] | None = None,
        maxrec: int | None = None,
        timeout: float = 86_400.0,
    ) -> Any:
        """Rows of an ADQL query.

        Parameters
        ----------
        format
            ``table`` (astropy), ``dataframe`` (pandas) or ``arrow``.
        async_
            As a job of the service, for queries that take longer than a synchronous one may.
        uploads
            Tables that the query names ``TAP_UPLOAD.<name>``: Tables, DataFrames, Arrow tables, files.
        maxrec
            Rows at most.
        timeout
            Seconds that a job may take.

        Raises
        ------
        UsageError
            If the query is not allowed or cannot be understood; the text says where.
        TransientError
            If the server does not answer, or the answer broke off.

        Warns
        -----
        TruncatedWarning
            If there are more rows than came.
        """
        rows, cut = self.rows(adql, async_=async_, uploads=uploads, maxrec=maxrec, timeout=timeout)
        if cut:
            warnings.warn(
                f"the answer was cut at {rows.num_rows} rows; there are more. Raise maxrec, or save() it",
                TruncatedWarning,
                stacklevel=2,
            )
        return as_format(rows, format)

    def rows(
        self,
        adql: str,
        *,
        async_: bool = False,
        uploads: Mapping[str, Any] | None = None,
        maxrec: int | None = None,
        timeout: float = 86_400.0,
    ) -> tuple[pa.Table, bool]:
        """As `query`: Arrow rows, and whether they were cut at a limit."""
        with tempfile.TemporaryDirectory(prefix="desdm-") as folder:
            path = Path(folder) / "answer.parquet"
            if async_:
                job = self.submit(adql, uploads=uploads, maxrec=maxrec)
                self._finish(job, timeout)
                self.connection.into(path, "GET", job.result_uri)
                quietly(job.delete)
            else:
                self.connection.into(path, "POST", "/tap/sync", **_asked(adql, "parquet", uploads, maxrec))
            return read_parquet(path)

    def save(
        self,
        adql: str,
        path: str | Path,
        *,
        uploads: Mapping[str, Any] | None = None,
        maxrec: int | None = None,
    ) -> Path:
        """Write the rows of a query to a file; its ending says the format (csv, tab, fits, parquet, vot, h5).

        The service writes the format, rows are not held here. The file is whole or it is not there.
        """
        target = Path(path).expanduser()
        form = format_of(target)
        if form == "h5":
            from desdm.client.hdf5 import write

            rows, _ = self.rows(adql, uploads=uploads, maxrec=maxrec)
            write(rows, target)
        else:
            self.connection.into(target, "POST", "/tap/sync", **_asked(adql, form, uploads, maxrec))
        return target

    def submit(
        self, adql: str, *, uploads: Mapping[str, Any] | None = None, maxrec: int | None = None
    ) -> Any:
        """Start a query as a job; a `pyvo.dal.AsyncTAPJob` that runs."""
        import io

        from pyvo.dal import DALServiceError
        from pyvo.dal.tap import AsyncTAPJob

        held = {name: io.BytesIO(as_upload(source)[0]) for name, source in (uploads or {}).items()}
        with translated(self.connection.url):
            try:
                job = AsyncTAPJob.create(
                    f"{self.connection.url}/tap", adql, maxrec=maxrec, uploads=held or None,
                    session=self.connection.session, RESPONSEFORMAT="parquet",
                )  # fmt: skip
                return job.run()
            except DALServiceError as err:
                raise of_pyvo(err) from err

    def _finish(self, job: Any, timeout: float) -> None:
        from pyvo.dal import DALQueryError, DALServiceError

        try:
            with translated(self.connection.url):
                job.wait(timeout=timeout)
                job.raise_if_error()
        except (DALServiceError, DALQueryError) as err:
            raise of_pyvo(err) from err
        except BaseException:
            # Whoever interrupts the waiting does not want the job either.
            quietly(job.abort)
            raise

    def tables(self) -> pa.Table:
        """Tables that may be queried: schema_name, table_name, description."""
        adql = "SELECT schema_name, table_name, description FROM tap_schema.tables ORDER BY schema_name, table_name"
        return self.rows(adql)[0]

    def columns(self, table: str) -> pa.Table:
        """Columns of a table: column_name, datatype, unit, ucd, description; none if there is no such table."""
        if table.lower().startswith("mydb."):
            return self._own_columns(table.partition(".")[2])
        name = table.replace("'", "''").lower()
        what = "column_name, datatype, arraysize, unit, ucd, description"
        # ADQL for the service, which reads it with an allow-list; the name is quoted.
        adql = (
            f"SELECT {what} FROM tap_schema.columns WHERE LOWER(table_name) = '{name}' ORDER BY column_index"  # noqa: S608
        )
        return self.rows(adql)[0]

    def _own_columns(self, name: str) -> pa.Table:
        # TAP_SCHEMA is the same for all callers: it does not tell of tables of one's own.
        found: list[dict[str, Any]] = next(
            (t["columns"] for t in self.mydb.tables() if t["name"].lower() == name.lower()), []
        )
        names = {"column_name": "name", "datatype": "datatype", "arraysize": "arraysize", "unit": "unit", "ucd": "ucd",
                 "description": "text"}  # fmt: skip
        return pa.table({to: pa.array([c.get(of) for c in found], pa.string()) for to, of in names.items()})

    def cone(self, table: str, ra: float, dec: float, radius: float) -> Any:
        """Rows of a table within ``radius`` degrees of a place (ICRS degrees), by its cone search; an astropy Table."""
        from pyvo.dal import DALQueryError, DALServiceError, SCSService

        with translated(self.connection.url):
            try:
                service = SCSService(f"{self.connection.url}/scs/{table}", session=self.connection.session)
                return service.search((ra, dec), radius).to_table()
            except (DALServiceError, DALQueryError) as err:
                raise of_pyvo(err) from err

    def images(self, ra: float, dec: float, radius: float = 0.0, **more: Any) -> Any:
        """Images that hold a place, by SIA 2; an astropy Table with ``obs_publisher_did`` and ``access_url``."""
        from pyvo.dal import DALQueryError, DALServiceError, SIA2Service

        with translated(self.connection.url):
            try:
                service = SIA2Service(f"{self.connection.url}/sia", session=self.connection.session)
                return service.search(pos=(ra, dec, radius or 1e-9), **more).to_table()
            except (DALServiceError, DALQueryError) as err:
                raise of_pyvo(err) from err

    def cutout(self, ident: str | Sequence[str], path: str | Path, **stencil: str) -> Path:
        """Write a cutout to a file.

        Parameters
        ----------
        ident
            ``obs_publisher_did`` of one image or more.
        path
            Where it goes.
        stencil
            Parameters of SODA: ``CIRCLE="30 -5 0.01"``, ``POLYGON=…``, ``RANGE=…`` or ``POS=…``, and the service's
            own (``FORMAT=``).
        """
        idents = [ident] if isinstance(ident, str) else list(ident)
        pairs = [("ID", one) for one in idents] + [(k.upper(), v) for k, v in stencil.items()]
        self.connection.into(Path(path), "POST", "/soda/sync", data=pairs)
        return Path(path)

    def cutouts(self, places: Any, path: str | Path, **more: str) -> Path:
        """Write many cutouts to a tar or zip file: ``places`` is a table of coordinates or object ids (see `as_upload`)."""
        held, mime = as_upload(places)
        files = {"table": ("places", held, mime)}
        self.connection.into(Path(path), "POST", "/api/cutouts", files=files, data=more)
        return Path(path)

    def footprint(
        self, ra: Any, dec: Any = None, *, release: str | None = None, band: str | None = None
    ) -> dict[str, Any] | pa.Table:
        """Whether places lie in the footprint, how deep it is there, and from how many exposures.

        Parameters
        ----------
        ra, dec
            ICRS degrees of one place (the answer is what the service's JSON says), or ``ra`` alone: a table of
            places with columns ``ra`` and ``dec`` (the answer is an Arrow table, a row a place).
        release, band
            Default: the newest release, all bands.
        """
        asked = {k: v for k, v in (("release", release), ("band", band)) if v is not None}
        if dec is not None:
            found: dict[str, Any] = self.connection.document(
                "GET", "/footprint", params={"ra": repr(float(ra)), "dec": repr(float(dec)), **asked}
            )
            return found
        held, _ = as_upload(ra)
        with tempfile.TemporaryDirectory(prefix="desdm-") as folder:
            path = Path(folder) / "answer.parquet"
            kind = {
                "Content-Type": "application/vnd.apache.parquet",
                "Accept": "application/vnd.apache.parquet",
            }
            params = {**asked, "format": "parquet"}
            self.connection.into(path, "POST", "/footprint", params=params, data=held, headers=kind)
            return read_parquet(path)[0]

    def files(self, release: str | None = None, **where: Any) -> list[dict[str, Any]]:
        """Files of releases: ``tilename=``, ``band=``, ``filetype=``, ``pos="ra,dec,radius"``."""
        asked = {"format": "json", **({"release": release} if release else {}), **where}
        found: list[dict[str, Any]] = self.connection.document("GET", "/files", params=asked)["files"]
        return found

    def releases(self) -> list[dict[str, Any]]:
        """Releases that may be seen, newest first."""
        found: list[dict[str, Any]] = self.connection.document("GET", "/api/releases")["releases"]
        return found

    def whoami(self) -> dict[str, Any]:
        """Login, role, actions and limits of who asks."""
        found: dict[str, Any] = self.connection.document("GET", "/api/whoami")
        return found

    @property
    def mydb(self) -> Any:
        """Tables of one's own: `desdm.client.mydb.MyDB`."""
        from desdm.client.mydb import MyDB

        return MyDB(self.connection)


def _asked(adql: str, form: str, uploads: Mapping[str, Any] | None, maxrec: int | None) -> dict[str, Any]:
    data = {"REQUEST": "doQuery", "LANG": "ADQL", "QUERY": adql, "RESPONSEFORMAT": form}
    if maxrec is not None:
        data["MAXREC"] = str(maxrec)
    if not uploads:
        return {"data": data}
    data["UPLOAD"] = ";".join(f"{name},param:{name}" for name in uploads)
    return {"data": data, "files": {name: (name, *as_upload(source)) for name, source in uploads.items()}}
