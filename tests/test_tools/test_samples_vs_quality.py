import json
import re

import numpy as np
import pytest

TOOL = 'analysis_tools/samples_vs_quality.py'


@pytest.fixture
def folders(tmp_path):
    """Three images of two modes, whole or nothing; `biased` always draws the first."""
    rng = np.random.default_rng(0)
    raters = np.repeat(np.array([0, 1], np.uint8), 100).reshape(2, 10, 10)
    for name, odds in (('true', [0.7, 0.3]), ('biased', [1.0, 0.0])):
        (tmp_path / name).mkdir()
        for image in 'abc':
            np.savez(
                tmp_path / name / f'{image}.npz',
                samples=raters[rng.choice(2, 40, p=odds)],
                raters=raters,
                weights=np.array([0.7, 0.3]),
            )
    return tmp_path


def test_rows_are_told_from_the_floor(call_tool, folders, capsys):
    out = folders / 'out'
    call_tool(TOOL, folders / 'true', folders / 'biased', '--num-samples', 1, 40, '--out-dir', out)
    printed = capsys.readouterr().out
    assert 'GED_unbiased' in printed
    records = json.loads((out / 'samples_vs_quality.json').read_text())
    assert (out / 'samples_vs_quality.png').stat().st_size > 10_000
    at = {(r['row'], r['num_samples']): r for r in records}
    assert {row for row, _ in at} == {'true', 'biased', 'raters', 'arg-max', 'noise'}
    most = {row: at[row, 40] for row in ('true', 'biased', 'raters', 'arg-max', 'noise')}
    # of two modes at distance 1: GED^2 of always the first is 2 * .3 - 2 * .7 * .3
    for row in ('biased', 'arg-max'):
        assert most[row]['GED']['mean'] == pytest.approx(0.18)
        assert most[row]['TV']['mean'] == pytest.approx(0.3)
    for row in ('true', 'raters'):
        assert most[row]['GED']['mean'] < 0.05
        assert most[row]['coherence']['mean'] == 1
    assert most['noise']['coherence']['mean'] == 0
    assert most['true']['images'] == 3
    for record in most.values():
        assert record['GED']['low'] <= record['GED']['mean'] <= record['GED']['high']
    assert 'GED_unbiased' not in at['true', 1]


def test_differences_are_paired(call_tool, folders, capsys):
    out, biased = folders / 'out', folders / 'biased'
    options = ('--num-samples', 40, '--out-dir', out)
    call_tool(TOOL, folders / 'true', biased, '--against', biased, *options)
    records = json.loads((out / 'samples_vs_quality.json').read_text())
    of_row = {record['row']: record for record in records}
    gain = of_row['true - biased']['GED']
    assert gain['mean'] == pytest.approx(of_row['true']['GED']['mean'] - 0.18)
    assert gain['low'] <= gain['mean'] <= gain['high'] < 0
    assert 'biased - biased' not in of_row and 'noise - biased' not in of_row


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['true', '--against', 'biased'], 'takes one of the folders'),
        (['empty'], r'empty holds no \*.npz'),
        (['true', 'noise'], 'rows are called by their folders'),
        (['true', 'true'], 'rows are called by their folders'),
        (['true', '--num-samples', 0], 'must be a whole number from 1, got 0'),
        (['true', '--num-samples', 41], 'a.npz holds 40 samples, not 41'),
        (['broken'], 'a.npz cannot be read as samples and raters'),
        (['lone'], "a.npz cannot be read as samples and raters: 'raters"),
    ],
)
def test_bad_input_is_refused(call_tool, folders, capsys, arguments, message):
    (folders / 'empty').mkdir()
    for name in ('broken', 'lone', 'noise'):
        (folders / name).mkdir()
        np.savez(folders / name / 'a.npz', samples=np.zeros((16, 2, 2), np.uint8))
    (folders / 'broken/a.npz').write_text('no zip file')
    paths = [
        folders / part if isinstance(part, str) and not part.startswith('--') else part
        for part in arguments
    ]
    with pytest.raises((ValueError, SystemExit)) as caught:
        call_tool(TOOL, *paths)
    assert re.search(message, f'{caught.value}{capsys.readouterr().err}')
