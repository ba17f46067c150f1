import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

from mmdiffseg.apis.pictures import find_sources
from mmdiffseg.apis.result import Result
from mmdiffseg.apis.serve import PageServer
from mmdiffseg.apis.web.questions import Limits


class Threshold:
    """Calls bright pixels object, in as many samples as generations; every step is as good."""

    meta = dict(classes=('dark', 'bright'), palette=[[0, 0, 0], [255, 0, 0]], source='/secret/it')
    settings = dict(steps=3, generations=2, seed=0)
    asks, films = None, True

    def __init__(self):
        self.calls, self.at_once, self.most = [], 0, 0
        self.wait = 0.0

    def __call__(self, image, *, text=None, examples=None, **settings):
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.calls.append(dict(settings, text=text, examples=examples))
        time.sleep(self.wait)
        self.at_once -= 1
        return self.result(image, settings.get('generations', 2))

    def film(self, image, *, steps=None, seed=None):
        return [self.result(image, 1) for _ in range(steps or 3)]

    def result(self, image, generations):
        (source,) = find_sources(image)
        picture = source.read()
        bright = picture.pixels.mean(axis=2) > 127
        return Result(
            image=picture.pixels,
            name=picture.name,
            classes=self.meta['classes'],
            palette=self.meta['palette'],
            labels=bright.astype(np.uint8),
            samples=np.stack([bright.astype(np.uint8)] * generations),
            uncertainty=np.full(bright.shape, 0.2, dtype=np.float32),
            inner=bright,
            outer=np.ones_like(bright),
        )


@pytest.fixture
def model():
    return Threshold()


@pytest.fixture(scope='session')
def serve_page():
    """A context in which the page of a model is served within limits."""

    @contextmanager
    def serving(segmenter, **limits):
        with PageServer(segmenter, limits=Limits(**limits)) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.01))
            thread.start()
            try:
                yield server
            finally:
                server.shutdown()
                thread.join()

    return serving
