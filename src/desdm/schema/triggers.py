"""Triggers that refuse an unlawful change of state, or any change of what is only ever added to, for each engine."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["OPERATIONS", "append_only", "published", "statements"]

#: Table with a column ``state`` → kind of its changes in ``ops_state_change``.
_RUNS = {"pfw_attempt": "attempt", "pfw_job": "job"}
OPERATIONS = {
    "delivery": "delivery",
    "ops_auto_queue": "queue",
    "qa_review": "review",
    "problem": "problem",
    "dispatch": "dispatch",
    "notice": "notice",
}


def statements(dialect: str, tables: Mapping[str, str] = _RUNS) -> list[str]:
    """SQL that makes the triggers on a database of that dialect (``sqlite`` or ``postgresql``).

    Parameters
    ----------
    dialect
        Dialect of the database.
    tables
        Table with a column ``state`` → kind of its changes in ``ops_state_change``.
    """
    sql = []
    for table, kind in tables.items():
        # The names come from the table above, never from a caller.
        lawful = (
            "SELECT 1 FROM ops_state_change c "  # noqa: S608
            f"WHERE c.kind = '{kind}' AND c.from_state = OLD.state AND c.to_state = NEW.state"
        )
        if dialect == "sqlite":
            sql.append(
                f"CREATE TRIGGER tr_{table}_state BEFORE UPDATE OF state ON {table} "
                f"WHEN NEW.state <> OLD.state AND NOT EXISTS ({lawful}) "
                f"BEGIN SELECT RAISE(ABORT, 'unlawful change of {kind} state'); END"
            )
        else:
            sql.append(
                f"CREATE FUNCTION fn_{table}_state() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                f"IF NEW.state <> OLD.state AND NOT EXISTS ({lawful}) THEN "
                f"RAISE check_violation USING MESSAGE = 'unlawful change of {kind} state from ' "
                "|| OLD.state || ' to ' || NEW.state; END IF; RETURN NEW; END $$"
            )
            sql.append(
                f"CREATE TRIGGER tr_{table}_state BEFORE UPDATE OF state ON {table} "
                f"FOR EACH ROW EXECUTE FUNCTION fn_{table}_state()"
            )
    return sql


def append_only(dialect: str, tables: tuple[str, ...]) -> list[str]:
    """SQL that makes the triggers which refuse to change or delete a row of ``tables``."""
    sql = []
    for table in tables:
        message = f"{table} is only ever added to"
        if dialect == "sqlite":
            for deed in ("UPDATE", "DELETE"):
                sql.append(
                    f"CREATE TRIGGER tr_{table}_{deed.lower()} BEFORE {deed} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
                )
        else:
            sql.append(
                f"CREATE FUNCTION fn_{table}_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                f"RAISE check_violation USING MESSAGE = '{message}'; END $$"
            )
            sql.append(
                f"CREATE TRIGGER tr_{table}_kept BEFORE UPDATE OR DELETE ON {table} "
                f"FOR EACH ROW EXECUTE FUNCTION fn_{table}_kept()"
            )
    return sql


#: Table of a release's content → its column that names the release.
_CONTENT = {"release_table": "release_name", "release_column": "release_name", "release_file": "release_name"}


def published(dialect: str) -> list[str]:
    """SQL that makes the triggers which refuse to change a published release, or to go back with any."""
    sql = []
    message = "a published release never changes; an erratum is a new point release"
    forward = "NOT ((OLD.state = 'draft' AND NEW.state IN ('draft', 'frozen')) OR (OLD.state = 'frozen'))"
    if dialect == "sqlite":
        sql.append(
            f"CREATE TRIGGER tr_release_update BEFORE UPDATE ON release WHEN {forward} "
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )
        sql.append(
            "CREATE TRIGGER tr_release_delete BEFORE DELETE ON release WHEN OLD.state = 'published' "
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )
    else:
        sql.append(
            "CREATE FUNCTION fn_release_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF TG_OP = 'DELETE' THEN IF OLD.state = 'published' THEN RAISE check_violation USING MESSAGE = '{message}'; "
            f"END IF; RETURN OLD; END IF; "
            f"IF {forward} THEN RAISE check_violation USING MESSAGE = '{message}'; END IF; RETURN NEW; END $$"
        )
        sql.append(
            "CREATE TRIGGER tr_release_kept BEFORE UPDATE OR DELETE ON release "
            "FOR EACH ROW EXECUTE FUNCTION fn_release_kept()"
        )
        sql.append(
            "CREATE FUNCTION fn_release_content() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE named text; BEGIN "  # noqa: S608
            "IF TG_OP = 'DELETE' THEN named := OLD.release_name; ELSE named := NEW.release_name; END IF; "
            "IF EXISTS (SELECT 1 FROM release r WHERE r.name = named AND r.state = 'published') "
            "OR (TG_OP = 'UPDATE' AND EXISTS (SELECT 1 FROM release r WHERE r.name = OLD.release_name "
            "AND r.state = 'published')) "
            f"THEN RAISE check_violation USING MESSAGE = '{message}'; END IF; "
            "IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$"
        )
    for table, column in _CONTENT.items():
        if dialect == "sqlite":
            for deed, rows in (("INSERT", ("NEW",)), ("UPDATE", ("OLD", "NEW")), ("DELETE", ("OLD",))):
                named = ", ".join(f"{row}.{column}" for row in rows)
                sql.append(
                    f"CREATE TRIGGER tr_{table}_{deed.lower()} BEFORE {deed} ON {table} "  # noqa: S608
                    f"WHEN EXISTS (SELECT 1 FROM release r WHERE r.name IN ({named}) AND r.state = 'published') "
                    f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
                )
        else:
            sql.append(
                f"CREATE TRIGGER tr_{table}_kept BEFORE INSERT OR UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION fn_release_content()"
            )
    return sql
