"""The report of how far models can be trusted, as one HTML file without any other file."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmdiffseg.evaluation.trust.report import HEADLINES, headlines, verdict
from mmdiffseg.guarantee import RISKS
from mmdiffseg.visualization.curves import curve_picture
from mmdiffseg.visualization.reliability import reliability_diagram

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; color: #282c34;
  padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .7rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.better { color: #1e7e45; } .worse { color: #c0392b; } .range { color: #777; font-size: 85%; }
figure { display: inline-block; margin: .5rem; vertical-align: top; }
img { max-width: 100%; } figcaption { color: #555; }
"""


def trust_page(record: dict, panels: Mapping[str, Mapping[str, Sequence[NDArray]]]) -> str:
    """Write the page.

    Args:
        record: See :func:`mmdiffseg.evaluation.trust.report.make_record`, maybe with
            ``corruptions``.
        panels: For each model, pages (H, W, 3) uint8 RGB of some images under a caption.

    Returns:
        HTML with all pictures inside.
    """
    title = f'How far can {" and ".join(record["models"])} be trusted?'
    parts = [
        f'<h1>{escape(title)}</h1>',
        f'<p>{escape(_about(record))}</p>',
        '<h2>Measures</h2>',
        _table(record),
        *_differences(record),
        '<h2>Do probabilities agree with frequencies?</h2>',
        *(
            _figure(
                reliability_diagram(
                    np.array(model['reliability']['sums']), event=model['reliability']['event']
                ),
                name,
                width=420,
            )
            for name, model in record['models'].items()
        ),
        '<h2>Is what a model is unsure of what it gets wrong?</h2>',
        '<p>Error of the pixels that are kept when the least sure ones are left to somebody else. '
        'A curve that falls to the left is worth having.</p>',
        _figure(_risk_curves(record), ''),
        *_promises(record),
        *_corruptions(record),
    ]
    for name, of_model in panels.items():
        for caption, pages in of_model.items():
            parts.append(f'<h2>{escape(name)}: {escape(caption)}</h2>')
            parts.extend(_figure(page, '') for page in pages)
    parts += ['<h2>All measures</h2>', _table(record, every=True)]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>'


def _about(record: dict) -> str:
    text = (
        f'{record["images"]} images. Ranges hold 95 % of the measures on resampled images. Pixels '
        'are summed up in bins, so memory does not grow with the number of images.'
    )
    scaled = {
        name: model['temperature']
        for name, model in record['models'].items()
        if model['temperature'] != 1
    }
    if scaled:
        factors = ', '.join(f'{value:.3f} ({name})' for name, value in scaled.items())
        text += (
            f' Probabilities are at the temperature that fits other images best, a share of '
            f'{record["temperature_share"]:g} of all: {factors}.'
        )
    return text


def _table(record: dict, *, every: bool = False) -> str:
    models = record['models']
    rows = dict.fromkeys(headlines(record))
    if every:
        rows = dict.fromkeys(key for model in models.values() for key in model['measures'])
    head = ''.join(f'<th>{escape(name)}</th>' for name in models)
    note = '' if every else '<th></th>'
    lines = [f'<tr><th>measure</th>{head}{note}</tr>']
    for row in rows:
        cells = ''.join(
            f'<td>{measure_text(model["measures"].get(row))}</td>' for model in models.values()
        )
        note = '' if every else f'<td>{escape(HEADLINES[row])}</td>'
        lines.append(f'<tr><td>{escape(row)}</td>{cells}{note}</tr>')
    return f'<table>{"".join(lines)}</table>'


def _differences(record: dict) -> list[str]:
    parts = []
    for name, differences in record['differences'].items():
        rows = []
        for measure in headlines(record):
            if measure in differences:
                said = verdict(differences[measure], measure)
                cell = measure_text(differences[measure], sign=True)
                rows.append(
                    f'<tr><td>{escape(measure)}</td><td>{cell}</td>'
                    f'<td class="{said}">{said}</td></tr>'
                )
        parts += [
            f'<h2>{escape(name)} less {escape(record["baseline"])}</h2>',
            '<p>On the same images, resampled together.</p>',
            f'<table><tr><th>measure</th><th>difference</th><th></th></tr>{"".join(rows)}</table>',
        ]
    return parts


def _promises(record: dict) -> list[str]:
    parts = []
    for name, model in record['models'].items():
        promise = model['guarantee']
        if promise:
            risk = model['measures']['promise/risk']
            parts.append(
                f'<p>{escape(name)} promises a risk of at most {promise["alpha"]:g}. Measured: '
                f'{measure_text(risk)}. The risk is the {escape(RISKS[promise["risk"]])}. The '
                f'promise is for the mean over images like the {promise["images"]} of the '
                'calibration.</p>'
            )
    return ['<h2>Is the guarantee kept?</h2>', *parts] if parts else []


def _corruptions(record: dict) -> list[str]:
    parts = []
    for kind, of_kind in record.get('corruptions', {}).items():
        curves = {}
        for measure in ('Dice', 'ECE', 'AUSE/own', 'image_AUROC/own'):
            curves[measure] = {}
            for name, rows in of_kind.items():
                # a measure may not be defined, where everything is wrong
                values = [row[measure] if row[measure] is not None else np.nan for row in rows]
                curves[measure][name] = (range(len(rows)), values)
        picture = curve_picture(curves, xlabel=f'strength of {kind}', columns=4)
        parts.append(_figure(picture, kind))
    return ['<h2>When pictures get worse</h2>', *parts] if parts else []


def _risk_curves(record: dict) -> NDArray[np.uint8]:
    quantities = {}
    for name, model in record['models'].items():
        quantities[f'error: {name}'] = {
            uncertainty: (curve['coverage'], curve['risk'])
            for uncertainty, curve in model['risk_coverage'].items()
        }
    return curve_picture(quantities, xlabel='share of pixels kept')


def measure_text(
    value: dict | None,
    *,
    sign: bool = False,
    interval: str = ' <span class="range">{} to {}</span>',
) -> str:
    """A measure with its interval.

    Args:
        value: Its ``value``, ``low`` and ``high``, each of which may be None.
        sign: Write the sign of a positive value, too.
        interval: How the two ends are written.
    """
    if value is None or value['value'] is None:
        return '-'
    form = '+.4f' if sign else '.4f'
    text = format(value['value'], form)
    if value['low'] is not None:
        text += interval.format(format(value['low'], form), format(value['high'], form))
    return text


def _figure(picture: NDArray, caption: str, *, width: int | None = None) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, 'PNG')
    code = base64.b64encode(buffer.getbuffer()).decode()
    size = f' width="{width}"' if width else ''
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{code}"{size}>'
        f'<figcaption>{escape(caption)}</figcaption></figure>'
    )
