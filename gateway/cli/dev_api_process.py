"""The process of an API under development: import it, say in a few lines what is wrong with it, else serve it.

    python dev_api_process.py module:application [option of Uvicorn …]

`vestibule dev` runs this file by its path, and it imports nothing of this project: the API's own folder comes first on
the path, and a package there may have any name. The last line of a fault begins with `reason: `.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import uvicorn

FAILED = 1
INTERNALS = ("<frozen importlib", importlib.__file__, __file__)
"""Files of the code that imports the API. Their lines in a trace help nobody."""


def main(application: str, *options: str) -> None:
    os.environ.pop("PYTHONSAFEPATH", None)  # it was for this program; what the API starts is not concerned
    sys.path.insert(0, os.getcwd())
    check(application)
    uvicorn.main([application, *options])


def check(application: str) -> None:
    """Import the application, and end this process with a short explanation if that fails."""
    name, _, attribute = application.partition(":")
    try:
        module = importlib.import_module(name)
    except SystemExit as exc:
        fail(exc, f"it called exit({exc.code!r}) while it was imported")
    except ModuleNotFoundError as exc:
        if exc.name and (name == exc.name or name.startswith(exc.name + ".")):
            fail(None, f"there is no module {exc.name} in {os.getcwd()}")
        fail(exc, f"{describe(exc)}; install it, or correct the name")
    except BaseException as exc:
        fail(exc, describe(exc))
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            fail(None, f"{name} has no {attribute}{suggest(module, attribute)}")
        found = getattr(found, part)
    if not callable(found):
        fail(None, f"{attribute} in {name} is not an application, but a {type(found).__name__}")


def describe(exc: BaseException) -> str:
    """Return the last line of the trace, with the place where Python could not read a file."""
    if isinstance(exc, SyntaxError) and exc.filename:
        return f"{type(exc).__name__}: {exc.msg} ({_short(exc.filename)}, line {exc.lineno})"
    said = traceback.format_exception_only(exc)[-1].strip().splitlines()
    return said[0] if said else type(exc).__name__


def suggest(module: ModuleType, attribute: str) -> str:
    """Return what the person may have meant."""
    names = [name for name in vars(module) if not name.startswith("_")]
    applications = [name for name in names if _is_application(vars(module)[name])]
    likely = applications or difflib.get_close_matches(attribute, names, n=3)
    return f"; it has {', '.join(likely)}" if likely else ""


def _is_application(value: object) -> bool:
    return hasattr(value, "router") and callable(value) and not isinstance(value, type)


def fail(exc: BaseException | None, reason: str) -> NoReturn:
    """Print the lines of the trace that lead to the API's own files, then the reason, and end."""
    if exc is not None:
        print(*trace_of(exc), sep="", end="", flush=True)
    print(f"reason: {' '.join(reason.split())}", flush=True)
    sys.exit(FAILED)


def trace_of(exc: BaseException) -> Iterator[str]:
    """Write the trace without the lines of importing itself, also for the errors that led to this one."""
    trace = traceback.TracebackException.from_exception(exc)
    link: traceback.TracebackException | None = trace
    seen = 0
    while link is not None:
        kept = [frame for frame in link.stack if not frame.filename.startswith(INTERNALS)]
        link.stack, seen = traceback.StackSummary.from_list(kept), seen + len(kept)
        link = link.__cause__ or link.__context__
    yield from trace.format() if seen else traceback.format_exception_only(exc)


def _short(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else filename


if __name__ == "__main__":
    main(*sys.argv[1:])
