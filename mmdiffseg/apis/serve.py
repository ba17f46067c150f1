"""A web page for one model: the server behind `mmdiffseg serve`."""

import ipaddress
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mmdiffseg.apis.web.answers import answer, describe
from mmdiffseg.apis.web.questions import Limits, read_question
from mmdiffseg.apis.web.samples import sample_names, sample_png

STATIC = Path(__file__).parent / 'web' / 'static'
KINDS = {
    '.html': 'text/html; charset=utf-8',
    '.js': 'text/javascript; charset=utf-8',
    '.css': 'text/css; charset=utf-8',
}
#: what the page may load, and who may show it
HEADERS = {
    'Content-Security-Policy': "default-src 'self'; img-src 'self' blob: data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-store',
}
#: something like /a/b in a sentence
PATH = re.compile(r'(?<![\w/.])(?:[A-Za-z]:)?(?:[/\\][^\s/\\\'":;,]+){2,}')
SAMPLES = '/samples/'
LOGGER = logging.getLogger('mmdiffseg')


class Refusal(Exception):
    """A request that gets no answer but a sentence.

    Args:
        status: HTTP status.
        sentence: Why, and what to do.
    """

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class PageServer(ThreadingHTTPServer):
    """Serves the page of one model; one request is computed at a time, and some wait.

    Nothing is written to the disk, and nothing is kept of a request.

    Args:
        segmenter: What :func:`mmdiffseg.load` returns.
        host: Address to listen at.
        port: Port, or 0 for a free one.
        limits: What may be asked for.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        segmenter: Any,
        *,
        host: str = '127.0.0.1',
        port: int = 0,
        limits: Limits | None = None,
    ) -> None:
        self.segmenter = segmenter
        self.host = host
        self.limits = limits or Limits()
        self.connections = threading.BoundedSemaphore(self.limits.connections)
        self.places = threading.BoundedSemaphore(self.limits.waiting + 1)
        self.model = threading.Lock()
        self.address_family = socket.AF_INET6 if ':' in host else socket.AF_INET
        super().__init__((host, port), Handler)

    @property
    def url(self) -> str:
        """Address of the page."""
        host = f'[{self.host}]' if ':' in self.host else self.host
        return f'http://{host}:{self.server_address[1]}/'

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection, or close it if too many are open."""
        if self.connections.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, and make room for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note a connection that broke."""
        LOGGER.debug('a connection broke', exc_info=True)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among those who wait.

        Raises:
            Refusal: There is none.
        """
        if not self.places.acquire(blocking=False):
            raise Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f'{self.limits.waiting + 1} requests are waiting already: try again in a minute',
            )
        try:
            yield
        finally:
            self.places.release()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The model, for one request alone.

        Raises:
            Refusal: Others take too long.
        """
        if not self.model.acquire(timeout=self.limits.patience):
            raise Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f'others have kept the model busy for {self.limits.patience:g} s: try again later',
            )
        try:
            yield
        finally:
            self.model.release()


class Handler(BaseHTTPRequestHandler):
    """Answers one request; every refusal is JSON with a sentence under ``error``."""

    server: PageServer
    server_version = 'mmdiffseg'
    sys_version = ''
    timeout = 20  # seconds of silence

    def do_GET(self) -> None:
        """The files of the page, what it has to know of the model, and sample pictures."""
        self._reply(self._get)

    def do_POST(self) -> None:
        """A question about a picture."""
        self._reply(self._post)

    def _get(self) -> tuple[str, bytes]:
        path = unquote(urlsplit(self.path).path)
        if path in PAGES:
            file = PAGES[path]
            return KINDS[file.suffix], file.read_bytes()
        if path == '/api/model':
            return _json(describe(self.server.segmenter, self.server.limits))
        if path.startswith(SAMPLES) and path.removeprefix(SAMPLES) in sample_names():
            return 'image/png', sample_png(path.removeprefix(SAMPLES))
        raise Refusal(HTTPStatus.NOT_FOUND, 'there is no such page')

    def _post(self) -> tuple[str, bytes]:
        if urlsplit(self.path).path != '/api/segment':
            raise Refusal(HTTPStatus.NOT_FOUND, 'there is no such page')
        if self.headers.get_content_type() != 'application/json':
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, 'a request must be application/json')
        limits = self.server.limits
        with self.server.place():
            question = read_question(self._body(), limits)
            with self.server.turn():
                return _json(answer(self.server.segmenter, question, limits))

    def _body(self) -> bytes:
        length = self.headers.get('Content-Length', '')
        if not length.isascii() or not length.isdigit():
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, 'a request must state its Content-Length')
        length, most = int(length), self.server.limits.body
        # what is too large is taken and thrown away, so that its sender reads why
        body = self._read(min(length, 4 * most), keep=length <= most)
        if length > most:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f'the request has {length:,} bytes and may have {most:,}: give a smaller picture',
            )
        return body

    def _read(self, length: int, *, keep: bool) -> bytes:
        end, body = time.monotonic() + self.server.limits.upload, bytearray()
        while length:
            part = self.rfile.read1(min(length, 2**16))
            if not part:
                raise Refusal(HTTPStatus.BAD_REQUEST, 'the request ended too early: send it again')
            if time.monotonic() > end:
                raise Refusal(HTTPStatus.REQUEST_TIMEOUT, 'the request arrived too slowly')
            length -= len(part)
            if keep:
                body += part
        return bytes(body)

    def _reply(self, route: Any) -> None:
        status = HTTPStatus.OK
        try:
            self._check_sender()
            kind, content = route()
        except Refusal as refusal:
            status, sentence = refusal.status, str(refusal)
        except ValueError as error:
            status, sentence = HTTPStatus.BAD_REQUEST, without_paths(str(error))
        except TimeoutError as error:
            status, sentence = HTTPStatus.SERVICE_UNAVAILABLE, without_paths(str(error))
        except Exception as error:  # the server goes on, whatever a model does
            LOGGER.exception('a request failed')
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            sentence = f'the model failed with {type(error).__name__}: see the log of the server'
        if status is not HTTPStatus.OK:
            kind, content = _json(dict(error=sentence))
        self._send(status, kind, content)

    def _check_sender(self) -> None:
        """Refuse other people's pages that use a browser here to reach this server.

        A name of theirs may point to this machine; an address cannot be made to.

        Raises:
            Refusal: The request comes from one.
        """
        host = self.headers.get('Host', '')
        name = urlsplit(f'//{host}').hostname or ''
        if name not in ('localhost', self.server.host) and not _is_address(name):
            raise Refusal(HTTPStatus.FORBIDDEN, f'open this page at {self.server.url}')
        origin = self.headers.get('Origin')
        if origin is not None and origin != f'http://{host}':
            raise Refusal(HTTPStatus.FORBIDDEN, 'pages of other servers may not ask this one')

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no request of ours, as JSON."""
        self._send(HTTPStatus(code), *_json(dict(error=message or HTTPStatus(code).phrase)))

    def log_message(self, format: str, *args: Any) -> None:
        """Note a request."""
        LOGGER.debug(format, *args)


def _json(value: Any) -> tuple[str, bytes]:
    return 'application/json', json.dumps(value).encode()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def without_paths(sentence: str) -> str:
    """A sentence that says nothing about the folders of the server."""
    return PATH.sub('a file', sentence)


#: the files of the page, and no others
PAGES = {f'/{file.name}': file for file in STATIC.glob('*.*') if file.suffix in KINDS}
PAGES['/'] = STATIC / 'index.html'


def serve(
    segmenter: Any, *, host: str = '127.0.0.1', port: int = 8000, limits: Limits | None = None
) -> None:
    """Serve a web page for a model, until it is interrupted.

    Args:
        segmenter: What :func:`mmdiffseg.load` or :func:`mmdiffseg.runtime.load` returns.
        host: Address to listen at. The default is for this machine alone; there is no password, so
            give another one in a network that you trust, and nowhere else.
        port: Port; 0 takes a free one.
        limits: What may be asked for.

    Raises:
        ValueError: The port is taken, or is none.

    Example:
        >>> from mmdiffseg.apis.serve import serve
        >>> serve(mmdiffseg.load('nuclei'))
        open http://127.0.0.1:8000/ (Ctrl-C ends it)
    """
    try:
        server = PageServer(segmenter, host=host, port=port, limits=limits)
    except (OSError, OverflowError) as error:
        raise ValueError(
            f'{host}:{port} cannot be listened at ({error}): choose another port'
        ) from error
    with server:
        print(f'open {server.url} (Ctrl-C ends it)', flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
