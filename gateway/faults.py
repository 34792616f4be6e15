"""What ends the command: a fault with one clear sentence and an exit code, never a trace."""

from __future__ import annotations

EXIT_OK = 0
EXIT_FAULT = 1
EXIT_USAGE = 2


class CommandFault(Exception):
    """Something outside this program is not as it must be; `message` names it and the mend."""

    exit_code = EXIT_FAULT

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class UsageFault(CommandFault):
    """The command line or the configuration asks for something impossible."""

    exit_code = EXIT_USAGE
