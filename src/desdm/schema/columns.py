"""How a table is declared once: every table and column with a one-line text, and unit and UCD where it has one."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import CheckConstraint, Column, MetaData
from sqlalchemy.types import String, TypeEngine

__all__ = ["closed", "col", "metadata"]

T = TypeVar("T")

#: Constraints carry names, so that a migration can speak of them on every engine.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def col(
    name: str,
    kind: type[TypeEngine[T]] | TypeEngine[T],
    *items: Any,
    text: str,
    unit: str = "",
    ucd: str = "",
    **options: Any,
) -> Column[T]:
    """A column with its one-line text, unit (VOUnits 1.1) and UCD (UCD1+ 1.6).

    Columns are NOT NULL unless ``nullable=True`` is set, since an unintended NULL is a lost fact.

    Parameters
    ----------
    name
        Name of the column.
    kind
        SQLAlchemy type.
    items
        Constraints, for instance a foreign key.
    text
        One line that describes the column.
    unit
        Unit after VOUnits 1.1; empty without one.
    ucd
        UCD1+ 1.6; empty without one.
    options
        Further options of `sqlalchemy.Column`.
    """
    if not options.get("primary_key"):
        options.setdefault("nullable", False)
    return Column(name, kind, *items, comment=text, info={"unit": unit, "ucd": ucd}, **options)


def closed(column: str, values: type[StrEnum]) -> CheckConstraint:
    """CHECK that ``column`` holds a member of a closed enum."""
    members = ", ".join(f"'{v.value}'" for v in values)
    return CheckConstraint(f"{column} IN ({members})", name=column)


#: Length of a state's name.
STATE = String(12)
