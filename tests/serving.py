"""A server of files on this machine that can misbehave."""

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """A file as it is served."""

    content: bytes
    cut: int | None = None  # the first answer ends after so many bytes of its body
    stall: bool = False  # every answer stops, and waits, where the first would be cut
    ranges: bool = True  # or every answer is the whole file
    wrong_range: bool = False  # a part is asked for, and another part comes
    length: bool = True  # whether the answer tells how long it is
    pause: float = 0.0  # seconds between tenths of the body
    redirect: str = ""


class Server:
    """Files by path, an address, and the requests so far: pairs of path and Range."""

    def __init__(self, address):
        self.address = address
        self.files = {}
        self.requests = []
        self.closing = threading.Event()


@contextmanager
def serving():
    """Serve from an address on this machine until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers["Range"]
            server.requests.append((self.path, asked))
            file = server.files.get(self.path)
            if file is None:
                self.send_error(404)
                return
            if file.redirect:
                self.send_response(302)
                self.send_header("Location", file.redirect)
                self.end_headers()
                return
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and file.ranges else 0
            if start >= len(file.content):
                self.send_error(416)
                return
            if file.wrong_range:
                start //= 2
            body = file.content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(file.content) - 1}/{len(file.content)}")
            if file.length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            piece = len(body) // 10 + 1 if file.pause else len(body) + 1
            for begin in range(0, len(body[: file.cut]), piece):
                self.wfile.write(body[: file.cut][begin : begin + piece])
                server.closing.wait(file.pause)
            if file.stall:
                server.closing.wait()
            elif file.cut is not None:
                file.cut = None

        def log_message(self, *_):
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = False  # joined when it closes

        def handle_error(self, *_):
            pass  # clients that go away are what is tested

    httpd = Quiet(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{httpd.server_address[1]}")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        httpd.shutdown()
        thread.join()
        httpd.server_close()
