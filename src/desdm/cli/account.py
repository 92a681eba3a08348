"""desdm account: people with their roles, passwords and tokens; data rights; what was denied."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from desdm.accounts.model import HeldOffice, Token
    from desdm.cli.context import JsonValue

_ROLES = click.Choice(["collaborator", "operator", "admin"])
_from_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")

_reason = click.option("--reason", default="", help="Why; recorded with the event.")


@click.group(cls=CommandGroup)
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
@pass_command_context
def add(
    context: CommandContext,
    login: str,
    role: str,
    name: str,
    email: str,
    password_stdin: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Make an account. Without a password it acts by tokens alone (desdm account token LOGIN)."""
    from desdm.accounts import people
    from desdm.schema.states import Role

    password = _password() if password_stdin else None
    with context.facility.database.write() as conn:
        people.add(
            conn,
            login,
            Role(role),
            who=context.facility.config.operator,
            reason=reason,
            name=name,
            email=email,
        )
        if password is not None:
            people.set_password(conn, login, password, who=context.facility.config.operator, reason=reason)

    def human() -> None:
        click.echo(f"{login}: {role}")
        more = "" if password is not None else f"; for browsers: desdm account password {login}"
        click.echo(f"next: desdm account token {login}{more}")

    context.show({"login": login, "role": role}, human, as_json)


@command.command("list")
@json_option
@pass_command_context
def listing(context: CommandContext, as_json: bool) -> None:
    """List the accounts."""
    from desdm.accounts import store

    with context.facility.database.read() as conn:
        people = store.people(conn)
    document = [
        {
            "login": p.login,
            "name": p.name,
            "email": p.email,
            "role": p.role.value,
            "password": p.has_password,
            "closed": p.disabled_at,
            "made_by": p.created_by,
            "made_at": p.created_at,
        }
        for p in people
    ]
    rows = [
        [p.login, p.role.value, p.name, p.email, "yes" if p.has_password else "", p.disabled_at]
        for p in people
    ]
    titles = ["login", "role", "name", "mail", "password", "closed"]
    empty = "no account yet; next: desdm account add LOGIN"
    context.show(document, lambda: context.table(titles, rows, empty=empty), as_json)


@command.command("role")
@click.argument("login")
@click.argument("role", type=_ROLES)
@_reason
@json_option
@pass_command_context
def role_(context: CommandContext, login: str, role: str, reason: str, as_json: bool) -> None:
    """Change a role; it holds from the next request on."""
    from desdm.accounts import people
    from desdm.schema.states import Role

    with context.facility.database.write() as conn:
        people.set_role(conn, login, Role(role), who=context.facility.config.operator, reason=reason)
    context.show({"login": login, "role": role}, lambda: click.echo(f"{login}: {role}"), as_json)


@command.command("password")
@click.argument("login")
@_from_stdin
@_reason
@json_option
@pass_command_context
def password_(context: CommandContext, login: str, password_stdin: bool, reason: str, as_json: bool) -> None:
    """Set a password (typed without echo); browsers that are logged in are logged out."""
    from desdm.accounts import people

    secret = (
        _password()
        if password_stdin
        else str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    )
    with context.facility.database.write() as conn:
        people.set_password(conn, login, secret, who=context.facility.config.operator, reason=reason)
    context.show({"login": login, "password": True}, lambda: click.echo(f"{login}: password set"), as_json)


@command.command("office")
@click.argument("login")
@click.argument("office", type=click.Choice(["operator", "qa", "prod_sci", "wg_member"]))
@click.option("--group", default="", help="Working group of a member.")
@click.option("--end", is_flag=True, help="End the office instead.")
@_reason
@json_option
@pass_command_context
def office_(
    context: CommandContext, login: str, office: str, group: str, end: bool, reason: str, as_json: bool
) -> None:
    """Give an office to a person, or end it; what each allows: desdm account offices."""
    from desdm.accounts import offices
    from desdm.schema.operationstates import Office

    with context.facility.database.write() as conn:
        change = offices.end if end else offices.give
        change(conn, login, Office(office), group, who=context.facility.config.operator, reason=reason)
    name = f"{office} of {group}" if group else office
    said = f"{login}: {name} no longer" if end else f"{login}: {name}"
    document = {"login": login, "office": office, "working_group": group, "held": not end}
    context.show(document, lambda: click.echo(said), as_json)


@command.command("offices")
@click.argument("login", required=False)
@json_option
@pass_command_context
def offices_(context: CommandContext, login: str | None, as_json: bool) -> None:
    """List who holds or held which office, and what each office allows."""
    from desdm.accounts import store
    from desdm.accounts.model import OFFICES

    with context.facility.database.read() as conn:
        held = store.offices(conn, login)
    rows = [[h.login, h.office.value, h.working_group, h.who, h.since, h.until] for h in held]
    titles = ["login", "office", "group", "given by", "since", "until"]

    def human() -> None:
        context.table(titles, rows, empty="nobody holds an office; next: desdm account office LOGIN OFFICE")
        for office, actions in OFFICES.items():
            click.echo(f"{office.value}, {office.text}: allows {', '.join(sorted(actions))}")

    context.show([_office(one) for one in held], human, as_json)


def _office(held: HeldOffice) -> Mapping[str, JsonValue]:
    """Return the JSON document of an office of a person."""
    return {
        "login": held.login,
        "office": held.office.value,
        "working_group": held.working_group,
        "given_by": held.who,
        "since": held.since,
        "until": held.until,
    }


@command.command("token")
@click.argument("login")
@click.option("--name", default="", help="What it is for.")
@click.option("--scope", "scopes", multiple=True, help="What it allows; else all but tokens and people.")
@click.option("--days", type=float, default=90, show_default=True, help="How long it lasts.")
@json_option
@pass_command_context
def token_(
    context: CommandContext, login: str, name: str, scopes: tuple[str, ...], days: float, as_json: bool
) -> None:
    """Make a token; it is written once, to standard output, and never again."""
    from datetime import timedelta

    from desdm.accounts import people, tokens
    from desdm.accounts.model import Action
    from desdm.errors import UsageError

    unknown = [s for s in scopes if s not in tuple(Action)]
    if unknown:
        raise UsageError(f"no scope {', '.join(unknown)}; there are: {', '.join(Action)}")
    with context.facility.database.write() as conn:
        actions = [Action(s) for s in scopes] or None
        secret = tokens.make(
            conn,
            people.find(conn, login),
            name=name,
            scopes=actions,
            lasts=timedelta(days=days),
            who=context.facility.config.operator,
        )
    context.show({"login": login, "name": name, "token": secret}, lambda: click.echo(secret), as_json)


@command.command("tokens")
@click.argument("login", required=False)
@json_option
@pass_command_context
def tokens_(context: CommandContext, login: str | None, as_json: bool) -> None:
    """List tokens: whose, what for, until when; never the token itself."""
    from desdm.accounts import store

    with context.facility.database.read() as conn:
        tokens = store.tokens(conn, login)
    with context.facility.service.read() as conn:
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
        for t in tokens
    ]
    titles = ["number", "login", "kind", "for", "scopes", "expires", "revoked", "last used"]
    context.show(
        [_token(t, used.get(t.id)) for t in tokens],
        lambda: context.table(titles, rows, empty="no token"),
        as_json,
    )


def _token(token: Token, last_used_at: datetime | None) -> Mapping[str, JsonValue]:
    """Return the JSON document of a token."""
    return {
        "number": token.id,
        "login": token.login,
        "kind": token.kind,
        "name": token.name,
        "scopes": sorted(token.scopes),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
        "last_used_at": last_used_at,
    }


@command.command("revoke")
@click.argument("login")
@click.argument("number", type=int, required=False)
@_reason
@json_option
@pass_command_context
def revoke(context: CommandContext, login: str, number: int | None, reason: str, as_json: bool) -> None:
    """Revoke one token of LOGIN, or all, sessions of browsers too."""
    from desdm.accounts import tokens

    with context.facility.database.write() as conn:
        count = tokens.revoke(conn, login, number, who=context.facility.config.operator, reason=reason)
    context.show({"login": login, "revoked": count}, lambda: click.echo(f"{login}: {count} revoked"), as_json)


@command.command("disable")
@click.argument("login")
@_reason
@json_option
@pass_command_context
def disable(context: CommandContext, login: str, reason: str, as_json: bool) -> None:
    """Close an account and revoke its tokens; its tables and jobs stay."""
    from desdm.accounts import people

    with context.facility.database.write() as conn:
        people.disable(conn, login, who=context.facility.config.operator, reason=reason)
    context.show({"login": login, "closed": True}, lambda: click.echo(f"{login}: closed"), as_json)


@command.command("enable")
@click.argument("login")
@_reason
@json_option
@pass_command_context
def enable(context: CommandContext, login: str, reason: str, as_json: bool) -> None:
    """Open a closed account again."""
    from desdm.accounts import people

    with context.facility.database.write() as conn:
        people.enable(conn, login, who=context.facility.config.operator, reason=reason)
    context.show({"login": login, "closed": False}, lambda: click.echo(f"{login}: open"), as_json)


@command.command("grant")
@click.argument("grantee", metavar="LOGIN|ROLE")
@click.argument("what", metavar="RELEASE[.TABLE]")
@_reason
@json_option
@pass_command_context
def grant(context: CommandContext, grantee: str, what: str, reason: str, as_json: bool) -> None:
    """Let a person or a role see a proprietary release, or one table of it."""
    from desdm.accounts import rights

    release, table = _subject(context, what)
    with context.facility.database.write() as conn:
        rights.grant(conn, grantee, release, table, who=context.facility.config.operator, reason=reason)
    context.show(
        {"grantee": grantee, "release": release, "table": table, "granted": True},
        lambda: click.echo(f"{grantee} may see {release}.{table}"),
        as_json,
    )


@command.command("withdraw")
@click.argument("grantee", metavar="LOGIN|ROLE")
@click.argument("what", metavar="RELEASE[.TABLE]")
@_reason
@json_option
@pass_command_context
def withdraw(context: CommandContext, grantee: str, what: str, reason: str, as_json: bool) -> None:
    """Withdraw a data right."""
    from desdm.accounts import rights

    release, table = _subject(context, what)
    with context.facility.database.write() as conn:
        rights.withdraw(conn, grantee, release, table, who=context.facility.config.operator, reason=reason)
    context.show(
        {"grantee": grantee, "release": release, "table": table, "granted": False},
        lambda: click.echo(f"{grantee} may not see {release}.{table} any more by a right of its own"),
        as_json,
    )


@command.command("rights")
@json_option
@pass_command_context
def rights_(context: CommandContext, as_json: bool) -> None:
    """List data rights."""
    from desdm.accounts import store

    with context.facility.database.read() as conn:
        data_rights = store.rights(conn)
    titles = ["grantee", "who", "release", "table", "granted by", "granted at"]
    empty = "no data right is granted"
    rows = [[r.grantee_kind, r.grantee, r.release, r.table, r.granted_by, r.granted_at] for r in data_rights]
    document = [{name: getattr(r, name) for name in r.__slots__} for r in data_rights]
    context.show(document, lambda: context.table(titles, rows, empty=empty), as_json)


@command.command("denials")
@click.option("--count", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--login", help="Of one person.")
@json_option
@pass_command_context
def denials_(context: CommandContext, count: int, login: str | None, as_json: bool) -> None:
    """What was denied to whom, newest first."""
    from desdm.accounts import store

    with context.facility.service.read() as conn:
        denials = store.denials(conn, count, login)
    empty = "nothing was denied"
    titles = ["at", "login", "address", "action", "subject", "reason"]
    rows = [[d.at, d.login, d.address, d.action, d.subject, d.reason] for d in denials]
    document = [{name: getattr(d, name) for name in d.__slots__} for d in denials]
    context.show(document, lambda: context.table(titles, rows, empty=empty), as_json)


def _subject(context: CommandContext, subject: str) -> tuple[str, str]:
    """Return release and table as they are spelled; `NotFoundError` if one does not exist."""
    from desdm.errors import NotFoundError
    from desdm.release import store

    name, _, table = subject.partition(".")
    with context.facility.database.read() as conn:
        release = next((r.name for r in store.releases(conn) if r.name.lower() == name.lower()), None)
        if release is None:
            raise NotFoundError(f"no release {name!r}; desdm release list shows them")
        if table in ("", "*"):
            return release, "*"
        table_name = next(
            (t.name for t in store.tables(conn, release) if t.name.lower() == table.lower()), None
        )
    if table_name is None:
        raise NotFoundError(f"release {release} has no table {table!r}")
    return release, table_name


def _password() -> str:
    """Read a password from standard input."""
    return sys.stdin.readline().rstrip("\n")
