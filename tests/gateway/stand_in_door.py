"""A front door with stand-in parts, started as a program so that tests can kill it.

    python -m tests.gateway.stand_in_door FILE

FILE is JSON: `settings` (tables), `app`, `parts` (ports of stand-in parts), `ready_seconds`. It prints what it knows as
JSON after everything answers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bff.settings.loading import parse_settings
from gateway.faults import CommandFault
from gateway.logs import configure_logging
from gateway.processes.children import ChildSpec, minimal_environment
from gateway.processes.plan import build_process_plan, run_processes
from gateway.processes.readiness import http_probe

HERE = Path(__file__).parent
MANAGEMENT = "--management-app=tests.gateway.stand_in:create_management_app"


def main(file: str) -> int:
    given = json.loads(Path(file).read_text())
    settings = parse_settings(given["settings"])
    configure_logging(settings.log)
    environ = {"PATH": "/usr/bin:/bin", "VESTIBULE_SECRETS__KEYS": "canary-variable"}
    try:
        plan = build_process_plan(
            settings,
            folder=Path(file).parent,
            environ=environ,
            worker=(
                "-m",
                "gateway.processes.worker",
                f"--app=tests.gateway.stand_in:{given.get('app', 'create_app')}",
                MANAGEMENT,
            ),
        )
        parts = [
            ChildSpec(
                name=f"part-{port}",
                program=(str(HERE / "stand_in_part.py"), str(port)),
                environment=minimal_environment(environ),
                ready=http_probe(f"http://127.0.0.1:{port}/"),
            )
            for port in given.get("parts", ())
        ]
        bind = {"bind": plan.settings.server.bind, "management": plan.settings.server.management_bind}
        return run_processes(
            plan,
            others=parts,
            on_ready=lambda: print(json.dumps(bind), flush=True),
            ready_seconds=given.get("ready_seconds", 30),
        )
    except CommandFault as fault:
        print(fault.message, file=sys.stderr)
        return fault.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
