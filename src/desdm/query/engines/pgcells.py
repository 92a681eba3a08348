"""HEALPix for PostgreSQL: functions in SQL, so that a site needs no extension (Górski et al. 2005, 5.3 and 4.1)."""

from __future__ import annotations

__all__ = ["SCHEMA", "joining", "statements"]

#: Schema of the functions and of the table of loaded releases.
SCHEMA = "desdm_service"

_SPREAD = """
CREATE OR REPLACE FUNCTION desdm_service.desdm_spread(v bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT
PARALLEL SAFE AS $$
DECLARE x bigint := v & 536870911;
BEGIN
  x := (x | (x << 16)) & 281470681808895;
  x := (x | (x << 8)) & 71777214294589695;
  x := (x | (x << 4)) & 1085102592571150095;
  x := (x | (x << 2)) & 3689348814741910323;
  RETURN (x | (x << 1)) & 6148914691236517205;
END $$
"""

_GATHER = """
CREATE OR REPLACE FUNCTION desdm_service.desdm_gather(v bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT
PARALLEL SAFE AS $$
DECLARE x bigint := v & 6148914691236517205;
BEGIN
  x := (x | (x >> 1)) & 3689348814741910323;
  x := (x | (x >> 2)) & 1085102592571150095;
  x := (x | (x >> 4)) & 71777214294589695;
  x := (x | (x >> 8)) & 281470681808895;
  RETURN (x | (x >> 16)) & 4294967295;
END $$
"""

_INDEX = """
CREATE OR REPLACE FUNCTION desdm_service.desdm_hpix29(ra float8, lat float8) RETURNS bigint LANGUAGE plpgsql
IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  n CONSTANT bigint := 536870912;
  tt float8 := ra / 90 - 4 * floor(ra / 360);
  z float8 := sin(radians(lat));
  jp bigint; jm bigint; fp bigint; fm bigint; face bigint; ix bigint; iy bigint; tmp float8; quarter bigint;
BEGIN
  IF abs(lat) > 90 THEN RETURN NULL; END IF;
  IF tt >= 4 THEN tt := 0; END IF;
  IF abs(z) <= 2.0::float8 / 3 THEN
    jp := floor(n * (0.5 + tt - z * 0.75));
    jm := floor(n * (0.5 + tt + z * 0.75));
    fp := jp >> 29; fm := jm >> 29;
    face := CASE WHEN fp = fm THEN fp | 4 WHEN fp < fm THEN fp ELSE fm + 8 END;
    ix := jm & (n - 1);
    iy := n - (jp & (n - 1)) - 1;
  ELSE
    quarter := least(3, floor(tt));
    tmp := n * sqrt(6.0::float8) * sin(radians(90 - abs(lat)) / 2);
    jp := least(n - 1, floor((tt - quarter) * tmp));
    jm := least(n - 1, floor((1 - (tt - quarter)) * tmp));
    IF z >= 0 THEN
      face := quarter; ix := n - jm - 1; iy := n - jp - 1;
    ELSE
      face := quarter + 8; ix := jp; iy := jm;
    END IF;
  END IF;
  RETURN (face << 58) + desdm_service.desdm_spread(ix) + (desdm_service.desdm_spread(iy) << 1);
END $$
"""

_CENTRE = """
CREATE OR REPLACE FUNCTION desdm_service.desdm_healpix_centre(o integer, cell bigint) RETURNS float8[] LANGUAGE plpgsql
IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  n bigint := 1::bigint << o;
  face bigint := cell >> (2 * o);
  rest bigint := cell & ((1::bigint << (2 * o)) - 1);
  ix bigint; iy bigint; jr bigint; nr bigint; jp float8; lat float8; shift integer := 0;
  rows integer[] := ARRAY[2,2,2,2,3,3,3,3,4,4,4,4]; places integer[] := ARRAY[1,3,5,7,0,2,4,6,1,3,5,7];
BEGIN
  IF cell < 0 OR face > 11 THEN RETURN NULL; END IF;
  ix := desdm_service.desdm_gather(rest);
  iy := desdm_service.desdm_gather(rest >> 1);
  jr := rows[face + 1] * n - ix - iy - 1;
  IF jr < n THEN
    nr := jr;
    lat := 90 - degrees(2 * asin(nr / (sqrt(6.0::float8) * n)));
  ELSIF jr > 3 * n THEN
    nr := 4 * n - jr;
    lat := -90 + degrees(2 * asin(nr / (sqrt(6.0::float8) * n)));
  ELSE
    nr := n;
    lat := degrees(asin((2 * n - jr) * 2.0::float8 / (3 * n)));
  END IF;
  jp := (places[face + 1] * nr + ix - iy)::float8 / 2;
  RETURN ARRAY[90 * jp / nr - 360 * floor(90 * jp / nr / 360), lat];
END $$
"""

_MEETS = """
CREATE OR REPLACE FUNCTION desdm_service.desdm_meets(region text, ra float8, lat float8, radius float8) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  n float8[]; i integer; j integer; count integer; px float8; py float8; pz float8; reach float8; height float8;
  ax float8; ay float8; az float8; bx float8; by_ float8; bz float8; nx float8; ny float8; nz float8; len float8;
  left_ boolean := true; right_ boolean := true; front float8 := 0; chord float8; circle boolean;
BEGIN
  circle := upper(region) LIKE 'CIRCLE %';
  IF NOT circle AND upper(region) NOT LIKE 'POLYGON %' THEN RETURN NULL; END IF;
  n := regexp_split_to_array(btrim(regexp_replace(region, '^[A-Za-z]+( +[A-Za-z]+[A-Za-z0-9]*)* +', '')), ' +')::float8[];
  count := array_length(n, 1) / 2;
  IF circle AND array_length(n, 1) <> 3 OR NOT circle AND (count < 3 OR array_length(n, 1) % 2 <> 0) THEN RETURN NULL; END IF;
  reach := radians(radius) + 1e-14;
  IF circle THEN reach := reach + radians(n[3]); END IF;
  px := cos(radians(lat)) * cos(radians(ra)); py := cos(radians(lat)) * sin(radians(ra)); pz := sin(radians(lat));
  FOR i IN 1..count LOOP
    j := i % count + 1;
    ax := cos(radians(n[2*i])) * cos(radians(n[2*i-1])); ay := cos(radians(n[2*i])) * sin(radians(n[2*i-1]));
    az := sin(radians(n[2*i]));
    chord := sqrt((ax-px)^2 + (ay-py)^2 + (az-pz)^2);
    IF 2 * asin(least(1, chord / 2)) <= reach THEN RETURN true; END IF;
    IF circle THEN RETURN false; END IF;
    bx := cos(radians(n[2*j])) * cos(radians(n[2*j-1])); by_ := cos(radians(n[2*j])) * sin(radians(n[2*j-1]));
    bz := sin(radians(n[2*j]));
    nx := ay*bz - az*by_; ny := az*bx - ax*bz; nz := ax*by_ - ay*bx;
    len := sqrt(nx^2 + ny^2 + nz^2);
    IF len = 0 THEN CONTINUE; END IF;
    nx := nx / len; ny := ny / len; nz := nz / len;
    height := nx*px + ny*py + nz*pz;
    left_ := left_ AND height >= -1e-14; right_ := right_ AND height <= 1e-14;
    front := front + ax*px + ay*py + az*pz;
    IF abs(asin(greatest(-1, least(1, height)))) <= reach
      AND (ny*az - nz*ay)*px + (nz*ax - nx*az)*py + (nx*ay - ny*ax)*pz >= 0
      AND (by_*nz - bz*ny)*px + (bz*nx - bx*nz)*py + (bx*ny - by_*nx)*pz >= 0 THEN RETURN true; END IF;
  END LOOP;
  RETURN front > 0 AND (left_ OR right_);
END $$
"""  # noqa: E501

_PARTS = [
    f"""CREATE OR REPLACE FUNCTION desdm_service.desdm_healpix_{name}(o integer, cell bigint) RETURNS float8
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
    $$ SELECT (desdm_service.desdm_healpix_centre(o, cell))[{place}] $$"""
    for name, place in (("ra", 1), ("dec", 2))
]


def joining(q3c: bool) -> str:
    """Return the statement that creates the condition of joins by position: with the index of Q3C, else always true."""
    test = "q3c_join($1, $2, $3, $4, $5)" if q3c else "true"
    return f"""CREATE OR REPLACE FUNCTION desdm_service.desdm_join(float8, float8, float8, float8, float8)
    RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT {test} $$"""


def statements() -> list[str]:
    """Return the statements that create the functions; they are idempotent."""
    return [f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}", _SPREAD, _GATHER, _INDEX, _CENTRE, _MEETS, *_PARTS]
