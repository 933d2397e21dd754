"""A peer that has a server of its own, which speaks HTTP/1.1 and nothing else."""

from http.server import BaseHTTPRequestHandler, HTTPServer


def small():
    return b'{"routes": 1}'


class Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "its own", ""

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(small())))
        self.end_headers()
        self.wfile.write(small())

    def version_string(self):
        return self.server_version


def serve(application, port):
    HTTPServer(("127.0.0.1", port), Handler).serve_forever()
