"""The arguments of a command line: each mistake is one line, with the nearest known name."""

import argparse
import re
import sys
import textwrap
from collections.abc import Sequence
from itertools import takewhile
from typing import Any, NoReturn

from autoencoders.errors import UserError, suggestion

VALUE = re.compile(r"(-|-\d+|-\d*\.\d+|.* .*)?", re.DOTALL)
"""What begins with a hyphen and is no option: argparse takes it as a value."""


class HelpFormatter(argparse.HelpFormatter):
    """Breaks lines at spaces only: a URI broken at a hyphen cannot be copied."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_long_words=False, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return textwrap.indent("\n".join(self._split_lines(text, width - len(indent))), indent)


class ArgumentParser(argparse.ArgumentParser):
    """A parser, also of subcommands, that raises `UserError` for a mistake. Options before a subcommand are flags."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"formatter_class": HelpFormatter, **settings})

    def error(self, message: str) -> NoReturn:
        """Raise `UserError` with the message and the help that explains more."""
        raise UserError(f"{message}{'' if message.endswith(('.', '?')) else '.'} See `{self.prog} --help`.")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse `args`; an unknown name is an error before anything that is missing."""
        given = list(sys.argv[1:] if args is None else args)
        commands = self._commands()
        for word in takewhile("--".__ne__, given):
            if word.startswith("-") and not VALUE.fullmatch(word):
                self._check_option(word.partition("=")[0])
            elif commands and word not in commands:
                self.error(f"there is no command {word!r}.{suggestion(word, commands)}")
            elif commands:  # the rest is checked by the subcommand's parser
                break
        namespace, extra = super().parse_known_args(given, namespace)
        if extra:
            self.error(f"unexpected: {' '.join(extra)}")
        return namespace, []

    def _commands(self) -> list[str]:
        """Return the names of the subcommands, if there are any."""
        choices = (action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction))
        return [name for names in choices for name in names]

    def _check_option(self, name: str) -> None:
        """Refuse an option that is neither known, nor the beginning of a known one, nor a letter and its value."""
        known = list(self._option_string_actions)
        if name[:2] not in known and not any(option.startswith(name) for option in known):
            self.error(f"there is no option {name!r}.{suggestion(name, known)}")
