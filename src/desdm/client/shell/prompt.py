"""The prompt: history, completion, lines that go on until their ``;``."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import ThreadedCompleter
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from desdm.client.shell.commands import COMMANDS
from desdm.client.shell.completion import ShellCompleter
from desdm.client.shell.session import Session
from desdm.client.shell.settings import folder

__all__ = ["session_of"]


def session_of(shell: Session, complete: Callable[[str], bool]) -> PromptSession[str]:
    """Create the prompt of a shell; ``complete`` tells whether Enter ends the input."""
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        """Run complete input, else continue it."""
        buffer = event.current_buffer
        if complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    return PromptSession(
        "desdm> ",
        history=_history(),
        completer=ThreadedCompleter(ShellCompleter(shell.names, COMMANDS)),
        complete_while_typing=Condition(lambda: shell.settings.completion),
        auto_suggest=AutoSuggestFromHistory(),
        lexer=PygmentsLexer(SqlLexer),
        key_bindings=keys,
        multiline=True,
        prompt_continuation="   ... ",
    )


def _history() -> History:
    """Return the history file, or one in memory if it cannot be written."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        (folder() / "sql_history").touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(folder() / "sql_history"))
