"""A desk: keeps what it is asked in the file request.json, and prints where it listens."""

import http.server
import pathlib


class Desk(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = self.rfile.read(int(self.headers["content-length"]))
        partial = pathlib.Path("request.partial")
        partial.write_bytes(asked)
        partial.rename("request.json")
        self.send_response(204)
        self.end_headers()


with http.server.HTTPServer(("127.0.0.1", 0), Desk) as server:
    print(f"127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
