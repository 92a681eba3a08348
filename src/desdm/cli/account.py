"""desdm account: people with their roles, passwords and tokens; data rights; what was denied."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from desdm.cli.door import Door, json_option, pass_door

if TYPE_CHECKING:
    from datetime import datetime

    from desdm.accounts.model import Token

_ROLES = click.Choice(["collaborator", "operator", "admin"])
_from_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")

_reason = click.option("--reason", default="", help="Why; kept with the event.")


@click.group()
def command() -> None:
    """People, their roles and tokens, data rights, and what was denied."""


@command.command("add")
@click.argument("login")
@click.option("--role", type=_ROLES, default="collaborator", show_default=True)
@click.option("--name", default="", help="Full name.")
@click.option("--email", default="", help="Mail address.")
@_from_stdin
@_reason
@json_option
@pass_door
def add(
    door: Door, login: str, role: str, name: str, email: str, password_stdin: bool, reason: str, as_json: bool
) -> None:
    """Make an account. Without a password it acts by tokens alone (desdm account token LOGIN)."""
    from desdm.accounts import people
    from desdm.schema.states import Role

    password = _password() if password_stdin else None
    with door.facility.database.write() as conn:
        people.add(
            conn, login, Role(role), who=door.facility.config.operator, reason=reason, name=name, email=email
        )
        if password is not None:
            people.set_password(conn, login, password, who=door.facility.config.operator, reason=reason)
    door.show({"login": login, "role": role}, lambda: click.echo(f"{login}: {role}"), as_json)


@command.command("list")
@json_option
@pass_door
def listing(door: Door, as_json: bool) -> None:
    """List the accounts."""
    from desdm.accounts import store

    with door.facility.database.read() as conn:
        found = store.people(conn)
    document = [
        {
            "login": p.login, "name": p.name, "email": p.email, "role": p.role.value, "password": p.has_password,
            "closed": p.disabled_at, "made_by": p.created_by, "made_at": p.created_at,
        }
        for p in found
    ]  # fmt: skip
    rows = [
        [p.login, p.role.value, p.name, p.email, "yes" if p.has_password else "", p.disabled_at]
        for p in found
    ]
    titles = ["login", "role", "name", "mail", "password", "closed"]
    empty = "no account yet; next: desdm account add LOGIN"
    door.show(document, lambda: door.table(titles, rows, empty=empty), as_json)


@command.command("role")
@click.argument("login")
@click.argument("role", type=_ROLES)
@_reason
@json_option
@pass_door
def role_(door: Door, login: str, role: str, reason: str, as_json: bool) -> None:
    """Change a role; it holds from the next request on."""
    from desdm.accounts import people
    from desdm.schema.states import Role

    with door.facility.database.write() as conn:
        people.set_role(conn, login, Role(role), who=door.facility.config.operator, reason=reason)
    door.show({"login": login, "role": role}, lambda: click.echo(f"{login}: {role}"), as_json)


@command.command("password")
@click.argument("login")
@_from_stdin
@_reason
@json_option
@pass_door
def password_(door: Door, login: str, password_stdin: bool, reason: str, as_json: bool) -> None:
    """Set a password (asked for, not shown); browsers that are logged in are logged out."""
    from desdm.accounts import people

    secret = (
        _password()
        if password_stdin
        else str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    )
    with door.facility.database.write() as conn:
        people.set_password(conn, login, secret, who=door.facility.config.operator, reason=reason)
    door.show({"login": login, "password": True}, lambda: click.echo(f"{login}: password set"), as_json)


@command.command("token")
@click.argument("login")
@click.option("--name", default="", help="What it is for.")
@click.option("--scope", "scopes", multiple=True, help="What it allows; else all but tokens and people.")
@click.option("--days", type=float, default=90, show_default=True, help="How long it lasts.")
@json_option
@pass_door
def token_(door: Door, login: str, name: str, scopes: tuple[str, ...], days: float, as_json: bool) -> None:
    """Make a token; it is written once, to standard output, and never again."""
    from datetime import timedelta

    from desdm.accounts import people, tokens
    from desdm.accounts.model import Action
    from desdm.errors import UsageError

    unknown = [s for s in scopes if s not in tuple(Action)]
    if unknown:
        raise UsageError(f"no scope {', '.join(unknown)}; there are: {', '.join(Action)}")
    with door.facility.database.write() as conn:
        wanted = [Action(s) for s in scopes] or None
        secret = tokens.make(
            conn,
            people.find(conn, login),
            name=name,
            scopes=wanted,
            lasts=timedelta(days=days),
            who=door.facility.config.operator,
        )
    door.show({"login": login, "name": name, "token": secret}, lambda: click.echo(secret), as_json)


@command.command("tokens")
@click.argument("login", required=False)
@json_option
@pass_door
def tokens_(door: Door, login: str | None, as_json: bool) -> None:
    """List tokens: whose, what for, until when; never the token itself."""
    from desdm.accounts import store

    with door.facility.database.read() as conn:
        found = store.tokens(conn, login)
    with door.facility.service.read() as conn:
        used = store.last_uses(conn)
    rows = [
        [
            t.id,
            t.login,
            t.kind,
            t.name,
            " ".join(sorted(t.scopes)),
            t.expires_at,
            t.revoked_at,
            used.get(t.id),
        ]
        for t in found
    ]
    titles = ["number", "login", "kind", "for", "scopes", "expires", "revoked", "last used"]
    door.show(
        [_token(t, used.get(t.id)) for t in found],
        lambda: door.table(titles, rows, empty="no token"),
        as_json,
    )


def _token(token: Token, last_used_at: datetime | None) -> dict[str, object]:
    return {
        "number": token.id, "login": token.login, "kind": token.kind, "name": token.name,
        "scopes": sorted(token.scopes), "created_at": token.created_at, "expires_at": token.expires_at,
        "revoked_at": token.revoked_at, "last_used_at": last_used_at,
    }  # fmt: skip


@command.command("revoke")
@click.argument("login")
@click.argument("number", type=int, required=False)
@_reason
@json_option
@pass_door
def revoke(door: Door, login: str, number: int | None, reason: str, as_json: bool) -> None:
    """Revoke one token of LOGIN, or all, sessions of browsers too."""
    from desdm.accounts import tokens

    with door.facility.database.write() as conn:
        count = tokens.revoke(conn, login, number, who=door.facility.config.operator, reason=reason)
    door.show({"login": login, "revoked": count}, lambda: click.echo(f"{login}: {count} revoked"), as_json)


@command.command("disable")
@click.argument("login")
@_reason
@json_option
@pass_door
def disable(door: Door, login: str, reason: str, as_json: bool) -> None:
    """Close an account and revoke its tokens; its tables and jobs stay."""
    from desdm.accounts import people

    with door.facility.database.write() as conn:
        people.disable(conn, login, who=door.facility.config.operator, reason=reason)
    door.show({"login": login, "closed": True}, lambda: click.echo(f"{login}: closed"), as_json)


@command.command("enable")
@click.argument("login")
@_reason
@json_option
@pass_door
def enable(door: Door, login: str, reason: str, as_json: bool) -> None:
    """Open a closed account again."""
    from desdm.accounts import people

    with door.facility.database.write() as conn:
        people.enable(conn, login, who=door.facility.config.operator, reason=reason)
    door.show({"login": login, "closed": False}, lambda: click.echo(f"{login}: open"), as_json)


@command.command("grant")
@click.argument("grantee", metavar="LOGIN|ROLE")
@click.argument("what", metavar="RELEASE[.TABLE]")
@_reason
@json_option
@pass_door
def grant(door: Door, grantee: str, what: str, reason: str, as_json: bool) -> None:
    """Let a person or a role see a proprietary release, or one table of it."""
    from desdm.accounts import rights

    release, table = _subject(door, what)
    with door.facility.database.write() as conn:
        rights.grant(conn, grantee, release, table, who=door.facility.config.operator, reason=reason)
    door.show(
        {"grantee": grantee, "release": release, "table": table, "granted": True},
        lambda: click.echo(f"{grantee} may see {release}.{table}"),
        as_json,
    )


@command.command("withdraw")
@click.argument("grantee", metavar="LOGIN|ROLE")
@click.argument("what", metavar="RELEASE[.TABLE]")
@_reason
@json_option
@pass_door
def withdraw(door: Door, grantee: str, what: str, reason: str, as_json: bool) -> None:
    """Take such a right back."""
    from desdm.accounts import rights

    release, table = _subject(door, what)
    with door.facility.database.write() as conn:
        rights.withdraw(conn, grantee, release, table, who=door.facility.config.operator, reason=reason)
    door.show(
        {"grantee": grantee, "release": release, "table": table, "granted": False},
        lambda: click.echo(f"{grantee} may not see {release}.{table} any more by a right of its own"),
        as_json,
    )


@command.command("rights")
@json_option
@pass_door
def rights_(door: Door, as_json: bool) -> None:
    """List data rights."""
    from desdm.accounts import store

    with door.facility.database.read() as conn:
        found = store.rights(conn)
    titles = ["grantee", "who", "release", "table", "granted by", "granted at"]
    empty = "no data right is granted"
    rows = [[r.grantee_kind, r.grantee, r.release, r.table, r.granted_by, r.granted_at] for r in found]
    document = [{name: getattr(r, name) for name in r.__slots__} for r in found]
    door.show(document, lambda: door.table(titles, rows, empty=empty), as_json)


@command.command("denials")
@click.option("--count", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--login", help="Of one person.")
@json_option
@pass_door
def denials_(door: Door, count: int, login: str | None, as_json: bool) -> None:
    """What was denied to whom, newest first."""
    from desdm.accounts import store

    with door.facility.service.read() as conn:
        found = store.denials(conn, count, login)
    empty = "nothing was denied"
    titles = ["at", "login", "address", "action", "subject", "reason"]
    rows = [[d.at, d.login, d.address, d.action, d.subject, d.reason] for d in found]
    document = [{name: getattr(d, name) for name in d.__slots__} for d in found]
    door.show(document, lambda: door.table(titles, rows, empty=empty), as_json)


def _subject(door: Door, what: str) -> tuple[str, str]:
    """Release and table as they are spelled; `NotFoundError` if there are none of these names."""
    from desdm.errors import NotFoundError
    from desdm.release import store

    name, _, table = what.partition(".")
    with door.facility.database.read() as conn:
        release = next((r.name for r in store.releases(conn) if r.name.lower() == name.lower()), None)
        if release is None:
            raise NotFoundError(f"no release {name!r}; desdm release list shows them")
        if table in ("", "*"):
            return release, "*"
        found = next((t.name for t in store.tables(conn, release) if t.name.lower() == table.lower()), None)
    if found is None:
        raise NotFoundError(f"release {release} has no table {table!r}")
    return release, found


def _password() -> str:
    return sys.stdin.readline().rstrip("\n")
