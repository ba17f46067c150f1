"""Open the playground in a headless browser: its size, its times, its picture, and Python's answer.

python docs/playground/build.py nuclei_onnx --out build/playground
python docs/playground/measure.py build/playground --screenshot docs/pictures/playground.png

The first visit runs in one thread; from the second one on the service worker allows several. The
seconds of a busy machine say little: `CPU` counts what the browser and this script have computed.
"""

import argparse
import functools
import http.server
import io
import os
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from mmdiffseg import runtime
from mmdiffseg.apis.web.samples import sample_png
from mmdiffseg.engine import command_line

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')
SAMPLE = 'stained tissue'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('page', type=Path, help='folder that build.py has written')
    parser.add_argument('--sample', default=SAMPLE, help='sample of the page (%(default)s)')
    parser.add_argument('--screenshot', type=Path, help='PNG to write')
    return parser.parse_args()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A file server that prints nothing."""

    def log_message(self, *args) -> None:
        """See the base class."""


@contextmanager
def file_server(folder: Path) -> Iterator[str]:
    """Serve a folder; its address."""
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_address[1]}/'
        server.shutdown()


def cpu_seconds(process: str = 'self') -> float:
    """What a process of Linux, and all that it has started, have computed so far."""
    folder = Path('/proc', process)
    try:
        fields = (folder / 'stat').read_text().rpartition(')')[2].split()
        tasks = [file.read_text().split() for file in folder.glob('task/*/children')]
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return 0.0
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf('SC_CLK_TCK') + sum(
        cpu_seconds(child) for sub in tasks for child in sub
    )


def visit(page: Page, address: str, sample: str, number: int) -> None:
    """Open the page, segment a sample, and print the times."""
    start = time.perf_counter()
    page.goto(address)
    page.wait_for_selector('#samples button')
    ready = time.perf_counter() - start
    several = page.evaluate('crossOriginIsolated')
    before, start = cpu_seconds(), time.perf_counter()
    page.click(f'#samples button[title="{sample}"]')
    page.click('#go:enabled')
    page.wait_for_selector('#status:has-text("Segmented"), #error:visible')
    if page.is_visible('#error'):
        raise RuntimeError(page.inner_text('#error'))
    seconds = time.perf_counter() - start
    print(
        f'visit {number}, {"several threads" if several else "one thread"}: ready after '
        f'{ready:.1f} s, segmented in {seconds:.1f} s, CPU {cpu_seconds() - before:.1f} s',
        flush=True,
    )


def main(args: argparse.Namespace) -> None:
    """Measure and print."""
    for name, folder in (('model', args.page / 'model'), ('all', args.page)):
        size = sum(file.stat().st_size for file in folder.rglob('*') if file.is_file())
        print(f'{name}: {size / 1e6:.2f} MB')
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with file_server(args.page) as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=['--no-sandbox'])
        page = browser.new_page(viewport=dict(width=1280, height=1000))
        page.set_default_timeout(600_000)
        visit(page, address, args.sample, 1)
        page.evaluate('navigator.serviceWorker.ready.then(() => true)')
        visit(page, address, args.sample, 2)
        if args.screenshot:
            page.wait_for_timeout(1000)  # until the pictures are drawn
            page.screenshot(path=args.screenshot)
        with page.expect_download() as download:
            page.click('#save-all')
        with zipfile.ZipFile(download.value.path()) as archive:
            found = np.asarray(Image.open(io.BytesIO(archive.read('labels.png'))))
        browser.close()
    # under the name that the page gives to the picture
    picture = np.asarray(Image.open(io.BytesIO(sample_png(args.sample))).convert('RGB'))
    expected = answer(args.page / 'model', picture, args.sample)
    print(f'labels as in Python: {100 * (found == expected).mean():.3f} % of the pixels')


def answer(model: Path, pixels: np.ndarray, name: str) -> np.ndarray:
    """The labels that Python gives to a picture of a name."""
    from mmdiffseg.apis.pictures import Source

    (result,) = runtime.load(model)([Source(name=name, path=None, read_pixels=lambda: pixels)])
    return result.labels


if __name__ == '__main__':
    command_line.run(main, parse_args)
