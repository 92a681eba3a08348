"""Client of the data services of one server."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, SupportsFloat

import pyarrow as pa
from typing_extensions import override

from desdm.client.answers import Account, FileEntry, FootprintAnswer, OwnColumn, ReleaseEntry
from desdm.client.connection import Connection, RequestOptions, TruncatedWarning
from desdm.client.tables import UploadSource, as_format, as_upload, format_of, read_parquet
from desdm.client.vo import of_pyvo, quietly, translated
from desdm.errors import UsageError

if TYPE_CHECKING:
    from astropy.table import Table
    from pandas import DataFrame
    from pyvo.dal import AsyncTAPJob

    from desdm.client.mydb import MyDB

__all__ = ["Client"]


class Client:
    """Client of the services at one address.

    Parameters
    ----------
    url
        Address of ``desdm serve``.
    token
        Token of an account (``desdm account token``); default ``$DESDM_TOKEN``, else anonymous.

    Examples
    --------
    >>> client = Client("http://127.0.0.1:8080")
    >>> client.query("SELECT TOP 5 ra, dec FROM Y6.objects")  # doctest: +SKIP
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self.connection = Connection(url, token)

    @override
    def __repr__(self) -> str:
        """Return the address, and whether a token is used; never the token."""
        with_token = "Authorization" in self.connection.session.headers
        return f"Client({self.connection.url!r}{', with a token' if with_token else ''})"

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
        uploads: Mapping[str, UploadSource] | None = None,
        maxrec: int | None = None,
        timeout: float = 86_400.0,
    ) -> Table | DataFrame | pa.Table:
        """Run an ADQL query and return its rows.

        Parameters
        ----------
        adql
            The query.
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

        Returns
        -------
        astropy.table.Table, pandas.DataFrame or pyarrow.Table
            The rows, as ``format`` says.

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
        uploads: Mapping[str, UploadSource] | None = None,
        maxrec: int | None = None,
        timeout: float = 86_400.0,
    ) -> tuple[pa.Table, bool]:
        """Run an ADQL query and return Arrow rows.

        Parameters
        ----------
        adql
            The query.
        async_, uploads, maxrec, timeout
            As of `query`.

        Returns
        -------
        tuple of pyarrow.Table, bool
            The rows, and whether they were cut at a limit.
        """
        with tempfile.TemporaryDirectory(prefix="desdm-") as folder:
            path = Path(folder) / "answer.parquet"
            if async_:
                job = self.submit(adql, uploads=uploads, maxrec=maxrec)
                self._finish(job, timeout)
                self.connection.into(path, "GET", job.result_uri)
                quietly(job.delete)
            else:
                self.connection.into(
                    path, "POST", "/tap/sync", **_query_form(adql, "parquet", uploads, maxrec)
                )
            return read_parquet(path)

    def save(
        self,
        adql: str,
        path: str | Path,
        *,
        uploads: Mapping[str, UploadSource] | None = None,
        maxrec: int | None = None,
    ) -> Path:
        """Write the rows of a query to a file; its ending says the format (csv, tab, fits, parquet, vot, h5).

        The service writes the format, rows are not collected here. The file is whole or it is not there.

        Parameters
        ----------
        adql
            The query.
        path
            Output file, written whole or not at all; its ending selects the format.
        uploads, maxrec
            As of `query`.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        UsageError
            No format has this ending, or the query is refused.
        """
        target = Path(path).expanduser()
        form = format_of(target)
        if form == "h5":
            from desdm.client.hdf5 import write

            rows, _ = self.rows(adql, uploads=uploads, maxrec=maxrec)
            write(rows, target)
        else:
            self.connection.into(target, "POST", "/tap/sync", **_query_form(adql, form, uploads, maxrec))
        return target

    def submit(
        self, adql: str, *, uploads: Mapping[str, UploadSource] | None = None, maxrec: int | None = None
    ) -> AsyncTAPJob:
        """Start a query as a job.

        Parameters
        ----------
        adql
            The query.
        uploads, maxrec
            As of `query`.

        Returns
        -------
        pyvo.dal.AsyncTAPJob
            The running job.
        """
        import io

        from pyvo.dal import DALServiceError
        from pyvo.dal.tap import AsyncTAPJob

        bodies = {name: io.BytesIO(as_upload(source)[0]) for name, source in (uploads or {}).items()}
        with translated(self.connection.url):
            try:
                job = AsyncTAPJob.create(
                    f"{self.connection.url}/tap",
                    adql,
                    maxrec=maxrec,
                    uploads=bodies or None,
                    session=self.connection.session,
                    RESPONSEFORMAT="parquet",
                )
                return job.run()
            except DALServiceError as err:
                raise of_pyvo(err) from err

    def _finish(self, job: AsyncTAPJob, timeout: float) -> None:
        """Wait for a job; raise its error, and abort it when the wait is interrupted."""
        from pyvo.dal import DALQueryError, DALServiceError

        try:
            with translated(self.connection.url):
                job.wait(timeout=timeout)
                job.raise_if_error()
        except (DALServiceError, DALQueryError) as err:
            raise of_pyvo(err) from err
        except BaseException:
            # A user who interrupts the wait does not need the job either.
            quietly(job.abort)
            raise

    def tables(self) -> pa.Table:
        """Return the tables that may be queried: schema_name, table_name, description."""
        adql = "SELECT schema_name, table_name, description FROM tap_schema.tables ORDER BY schema_name, table_name"
        return self.rows(adql)[0]

    def columns(self, table: str) -> pa.Table:
        """Return the columns of a table: column_name, datatype, unit, ucd, description; none for an unknown table."""
        if table.lower().startswith("mydb."):
            return self._own_columns(table.partition(".")[2])
        name = table.replace("'", "''").lower()
        selected = "column_name, datatype, arraysize, unit, ucd, description"
        # ADQL for the service, which reads it with an allow-list; the name is quoted.
        adql = f"SELECT {selected} FROM tap_schema.columns WHERE LOWER(table_name) = '{name}' ORDER BY column_index"  # noqa: S608
        return self.rows(adql)[0]

    def _own_columns(self, name: str) -> pa.Table:
        """Return the columns of a user's table, which TAP_SCHEMA does not list."""
        # TAP_SCHEMA is the same for all callers: it does not list tables of users.
        columns: list[OwnColumn] = next(
            (t["columns"] for t in self.mydb.tables() if t["name"].lower() == name.lower()), []
        )
        names = {
            "column_name": "name",
            "datatype": "datatype",
            "arraysize": "arraysize",
            "unit": "unit",
            "ucd": "ucd",
            "description": "text",
        }
        return pa.table({to: pa.array([c.get(of) for c in columns], pa.string()) for to, of in names.items()})

    def cone(self, table: str, ra: float, dec: float, radius: float) -> Table:
        """Return the rows of a table within a radius of a position, by its cone search.

        Parameters
        ----------
        table
            Name of the table.
        ra, dec
            Centre, ICRS degrees.
        radius
            Radius, degrees.

        Returns
        -------
        astropy.table.Table
            The rows.
        """
        from pyvo.dal import DALQueryError, DALServiceError, SCSService

        with translated(self.connection.url):
            try:
                service = SCSService(f"{self.connection.url}/scs/{table}", session=self.connection.session)
                return service.search((ra, dec), radius).to_table()
            except (DALServiceError, DALQueryError) as err:
                raise of_pyvo(err) from err

    def images(self, ra: float, dec: float, radius: float = 0.0, **more: str | float | int) -> Table:
        """Return the images that contain a position, by SIA 2.

        Parameters
        ----------
        ra, dec
            Position, ICRS degrees.
        radius
            Radius, degrees.
        more
            Further parameters of `pyvo.dal.SIA2Service.search`.

        Returns
        -------
        astropy.table.Table
            Images, with ``obs_publisher_did`` and ``access_url``.
        """
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
            Output file.
        stencil
            Parameters of SODA: ``CIRCLE="30 -5 0.01"``, ``POLYGON=…``, ``RANGE=…`` or ``POS=…``, and the service's
            own (``FORMAT=``).

        Returns
        -------
        pathlib.Path
            The file.
        """
        idents = [ident] if isinstance(ident, str) else list(ident)
        pairs = [("ID", image_id) for image_id in idents] + [(k.upper(), v) for k, v in stencil.items()]
        self.connection.into(Path(path), "POST", "/soda/sync", data=pairs)
        return Path(path)

    def cutouts(self, places: UploadSource, path: str | Path, **more: str) -> Path:
        """Write many cutouts to a tar or zip file.

        Parameters
        ----------
        places
            Table of coordinates or object identifiers (see `as_upload`).
        path
            Output file.
        more
            Further parameters of the service.

        Returns
        -------
        pathlib.Path
            The file.
        """
        body, mime = as_upload(places)
        files = {"table": ("places", body, mime)}
        self.connection.into(Path(path), "POST", "/api/cutouts", files=files, data=more)
        return Path(path)

    def footprint(
        self,
        ra: SupportsFloat | UploadSource,
        dec: SupportsFloat | None = None,
        *,
        release: str | None = None,
        band: str | None = None,
    ) -> FootprintAnswer | pa.Table:
        """Return whether positions lie in the footprint, its depth there, and the number of exposures.

        Parameters
        ----------
        ra, dec
            ICRS degrees of one place (the answer is what the service's JSON says), or ``ra`` alone: a table of
            places with columns ``ra`` and ``dec`` (the answer is an Arrow table, a row a place).
        release, band
            Default: the newest release, all bands.
        """
        parameters = {k: v for k, v in (("release", release), ("band", band)) if v is not None}
        if dec is not None:
            if not isinstance(ra, SupportsFloat | str):
                raise UsageError("footprint(ra, dec) takes numbers; pass a table as its only argument")
            answer: FootprintAnswer = self.connection.document(
                "GET", "/footprint", params={"ra": repr(float(ra)), "dec": repr(float(dec)), **parameters}
            )
            return answer
        body, _ = as_upload(ra)
        with tempfile.TemporaryDirectory(prefix="desdm-") as folder:
            path = Path(folder) / "answer.parquet"
            kind = {
                "Content-Type": "application/vnd.apache.parquet",
                "Accept": "application/vnd.apache.parquet",
            }
            params = {**parameters, "format": "parquet"}
            self.connection.into(path, "POST", "/footprint", params=params, data=body, headers=kind)
            return read_parquet(path)[0]

    def files(self, release: str | None = None, **where: str | int) -> list[FileEntry]:
        """Return files of releases: ``tilename=``, ``band=``, ``filetype=``, ``pos="ra,dec,radius"``."""
        parameters = {"format": "json", **({"release": release} if release else {})}
        parameters |= {key: str(value) for key, value in where.items()}
        files: list[FileEntry] = self.connection.document("GET", "/files", params=parameters)["files"]
        return files

    def releases(self) -> list[ReleaseEntry]:
        """Return the visible releases, newest first."""
        releases: list[ReleaseEntry] = self.connection.document("GET", "/api/releases")["releases"]
        return releases

    def whoami(self) -> Account:
        """Return login, role, actions and limits of the caller."""
        account: Account = self.connection.document("GET", "/api/whoami")
        return account

    @property
    def mydb(self) -> MyDB:
        """The caller's own tables at the server."""
        from desdm.client.mydb import MyDB

        return MyDB(self.connection)


def _query_form(
    adql: str, form: str, uploads: Mapping[str, UploadSource] | None, maxrec: int | None
) -> RequestOptions:
    """Return the form of a query, with its uploads."""
    data = {"REQUEST": "doQuery", "LANG": "ADQL", "QUERY": adql, "RESPONSEFORMAT": form}
    if maxrec is not None:
        data["MAXREC"] = str(maxrec)
    if not uploads:
        return {"data": data}
    data["UPLOAD"] = ";".join(f"{name},param:{name}" for name in uploads)
    return {"data": data, "files": {name: (name, *as_upload(source)) for name, source in uploads.items()}}
