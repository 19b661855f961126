"""A shop: every other request fails, orders are told apart by their key. Prints where it listens."""

import http.server
import itertools
import json

orders = {}
requests = itertools.count()


class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({"id": 7})

    def do_POST(self):
        item = json.loads(self.rfile.read(int(self.headers["content-length"])))["item"]
        # Ordered, whatever becomes of the answer.
        number = orders.setdefault(self.headers["idempotency-key"], len(orders) + 1)
        self.answer({"item": item, "order": number})

    def answer(self, said):
        self.send_response(503 if next(requests) % 2 == 0 else 200)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())

    def log_message(self, *_):
        """Says nothing."""


with http.server.HTTPServer(("127.0.0.1", 0), Shop) as server:
    print(f"127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
