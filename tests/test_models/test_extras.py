import pytest

from mmdiffseg.models.extras import refuse
from mmdiffseg.registry import MODELS


def test_what_needs_mmdet_says_so():
    refuse('SomeHead')
    try:
        with pytest.raises(ImportError, match=r'SomeHead needs mmdet: run `pip install'):
            MODELS.build(dict(type='mmdiffseg.SomeHead', num_queries=100))
    finally:
        del MODELS._module_dict['SomeHead']
