"""Options of logs, and of the pages that people see."""

from __future__ import annotations

from typing import Final

from gateway.cli.migrate.draft import Draft
from gateway.cli.migrate.options import Given, Instead, Option, Outcome, Safer, Taken, none_if_off, unsafe_if_on

_AUDIT: Final = "Sign-ins, sign-outs and refusals are always logged, as events with a stable name"
_LINES: Final = "Each line is JSON with fixed names (`log.format`); a log collector makes of it what you need"
_FILES: Final = "Logs go to standard error; journald, the container's log or logrotate keep and rotate them"
_PAGES: Final = "The few pages are built in, without HTML of your own"


def _standard(given: Given, draft: Draft) -> Outcome:
    return Taken("log.level says what is logged") if given.is_on else draft.put(given, "log.level", "warning")


def _requests(given: Given, draft: Draft) -> Outcome:
    return draft.put(given, "log.access", given.is_on)


def _request_id(given: Given, draft: Draft) -> Outcome:
    if given.text.lower() == "x-request-id":
        return Taken("X-Request-ID of a trusted proxy is used, on every line and hop")
    return Instead("The header is X-Request-ID: let the proxy send that one")


OPTIONS: Final = (
    Option("standard-logging", Taken("`log.level`"), _standard, "flag"),
    Option("standard-logging-format", Instead(_LINES)),
    Option("request-logging", Taken("`log.access`"), _requests, "flag"),
    Option("request-logging-format", Instead(_LINES)),
    Option("request-id-header", Taken("`X-Request-ID` of a trusted proxy"), _request_id),
    Option("auth-logging", Instead(_AUDIT), none_if_off(_AUDIT, as_before="sign-ins are always logged"), "flag"),
    Option("auth-logging-format", Instead(_LINES)),
    Option("silence-ping-logging", Instead('`log.access = "refused"` logs only refused requests'), None, "flag"),
    Option("exclude-logging-path", Instead('`log.access = "refused"` logs only refused requests'), None, "list",
           key="exclude_logging_paths", older=("exclude_logging_path",)),
    Option("errors-to-info-log", Instead(_FILES), None, "flag"),
    Option("logging-filename", Instead(_FILES)),
    Option("logging-max-size", Instead(_FILES), None, "number"),
    Option("logging-max-age", Instead(_FILES), None, "number"),
    Option("logging-max-backups", Instead(_FILES), None, "number"),
    Option("logging-compress", Instead(_FILES), None, "flag"),
    Option("logging-local-time", Instead("Times are UTC"), None, "flag"),
    Option("banner", Instead(_PAGES)),
    Option("footer", Instead(_PAGES)),
    Option("custom-sign-in-logo", Instead(_PAGES)),
    Option("custom-templates-dir", Instead(_PAGES)),
    Option("show-debug-on-error", Safer("A page shows a request id, the log says the rest"),
           unsafe_if_on("A page shows a request id, and the log says the rest",
                     as_before="a page shows a request id"), "flag"),
    Option("skip-provider-button", Taken("With one provider there is no page with a button"), None, "flag"),
)  # fmt: skip
