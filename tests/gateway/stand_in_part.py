"""A part beside the workers. It answers on a port, and has started another process that ignores SIGTERM.

python stand_in_part.py PORT
"""

from __future__ import annotations

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        print("part speaking", flush=True)


if __name__ == "__main__":
    subprocess.Popen([sys.executable, "-c", STUBBORN])
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
