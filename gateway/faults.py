"""Faults that end the command, each with one clear sentence and an exit code instead of a trace."""

from __future__ import annotations

EXIT_OK = 0
EXIT_FAULT = 1
EXIT_USAGE = 2


class CommandFault(Exception):
    """A fault outside of this program. `message` says what is wrong and how to fix it."""

    exit_code = EXIT_FAULT

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class UsageFault(CommandFault):
    """A fault in the command line or the configuration: it asks for something impossible."""

    exit_code = EXIT_USAGE
