"""Triggers that refuse an unlawful change of state, or any change of what is only ever added to, for each engine."""

from __future__ import annotations

__all__ = ["append_only", "statements"]

_TABLES = {"pfw_attempt": "attempt", "pfw_job": "job"}


def statements(dialect: str) -> list[str]:
    """SQL that makes the triggers on a database of that dialect (``sqlite`` or ``postgresql``)."""
    made = []
    for table, kind in _TABLES.items():
        # The names come from the table above, never from a caller.
        lawful = (
            "SELECT 1 FROM ops_state_change c "  # noqa: S608
            f"WHERE c.kind = '{kind}' AND c.from_state = OLD.state AND c.to_state = NEW.state"
        )
        if dialect == "sqlite":
            made.append(
                f"CREATE TRIGGER tr_{table}_state BEFORE UPDATE OF state ON {table} "
                f"WHEN NEW.state <> OLD.state AND NOT EXISTS ({lawful}) "
                f"BEGIN SELECT RAISE(ABORT, 'unlawful change of {kind} state'); END"
            )
        else:
            made.append(
                f"CREATE FUNCTION fn_{table}_state() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                f"IF NEW.state <> OLD.state AND NOT EXISTS ({lawful}) THEN "
                f"RAISE check_violation USING MESSAGE = 'unlawful change of {kind} state from ' "
                "|| OLD.state || ' to ' || NEW.state; END IF; RETURN NEW; END $$"
            )
            made.append(
                f"CREATE TRIGGER tr_{table}_state BEFORE UPDATE OF state ON {table} "
                f"FOR EACH ROW EXECUTE FUNCTION fn_{table}_state()"
            )
    return made


def append_only(dialect: str, tables: tuple[str, ...]) -> list[str]:
    """SQL that makes the triggers which refuse to change or delete a row of ``tables``."""
    made = []
    for table in tables:
        said = f"{table} is only ever added to"
        if dialect == "sqlite":
            for deed in ("UPDATE", "DELETE"):
                made.append(
                    f"CREATE TRIGGER tr_{table}_{deed.lower()} BEFORE {deed} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{said}'); END"
                )
        else:
            made.append(
                f"CREATE FUNCTION fn_{table}_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                f"RAISE check_violation USING MESSAGE = '{said}'; END $$"
            )
            made.append(
                f"CREATE TRIGGER tr_{table}_kept BEFORE UPDATE OR DELETE ON {table} "
                f"FOR EACH ROW EXECUTE FUNCTION fn_{table}_kept()"
            )
    return made
