"""The card of a model to share: front matter for the Hub, then what a user has to know."""

from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from torch import nn

from mmdiffseg.guarantee import describe_guarantee
from mmdiffseg.models.refine import MaskRefiner
from mmdiffseg.version import __version__

FIELDS = ('name', 'summary', 'data', 'licence', 'metrics', 'command', 'limits')
USE = """```python
import mmdiffseg

model = mmdiffseg.load('{name}')  # or the path of this folder
result = model{call}
result.save('out')
```"""


def model_card(
    card: Mapping[str, Any], *, meta: Mapping[str, Any], model: nn.Module, picture: str | None
) -> str:
    """Write a card; what is not known is said to be missing.

    Args:
        card: ``name``; ``summary``, a sentence; ``data``, what it was trained on and under which
            licence; ``licence``, that of the weights as SPDX writes it; ``metrics``, numbers by
            name; ``command``, which gives them again; ``limits``, where not to use it.
        meta: ``classes`` and maybe a ``guarantee``.
        model: The model.
        picture: Name of the picture beside the card.

    Returns:
        Markdown.

    Raises:
        ValueError: The card has another field.
    """
    unknown = set(card) - set(FIELDS)
    if unknown:
        raise ValueError(f'a card has no {", ".join(sorted(unknown))}: it has {", ".join(FIELDS)}')
    name = card.get('name') or type(model).__name__
    call = ".refine('picture.png', mask)" if isinstance(model, MaskRefiner) else "('picture.png')"
    count = sum(parameter.numel() for parameter in model.parameters())
    parts = [
        f'# {name}',
        card.get('summary') or f'A {type(model).__name__} for image segmentation.',
        f'![What the model says]({picture})' if picture else '',
        USE.format(name=name, call=call),
        _table(
            [
                ('classes', ', '.join(meta.get('classes') or ())),
                ('parameters', f'{count:,}'),
                ('trained on', card.get('data') or 'not told'),
                ('licence', card.get('licence') or 'not told'),
                ('written by', f'mmdiffseg {__version__}'),
            ]
        ),
        _measured(card.get('metrics') or {}, card.get('command')),
        _guaranteed(meta.get('guarantee')),
        f'## Limits\n\n{card["limits"]}' if card.get('limits') else '',
    ]
    matter = _front_matter(name, card)
    return f'---\n{matter}\n---\n\n' + '\n\n'.join(part for part in parts if part) + '\n'


def _front_matter(name: str, card: Mapping[str, Any]) -> str:
    results = [
        EvalResult(
            task_type='image-segmentation',
            dataset_type='other',
            dataset_name=card.get('data') or 'not told',
            metric_type=key,
            metric_value=value,
        )
        for key, value in (card.get('metrics') or {}).items()
    ]
    data = ModelCardData(
        license=(card.get('licence') or 'unknown').lower(),
        library_name='mmdiffseg',
        pipeline_tag='image-segmentation',
        tags=['diffusion', 'segmentation', 'uncertainty'],
        model_name=name,
        eval_results=results or None,
    )
    return data.to_yaml()


def _measured(metrics: Mapping[str, Any], command: str | None) -> str:
    if not metrics:
        return '## Figures\n\nNothing was measured.'
    rows = [(key, f'{value:.4g}') for key, value in metrics.items()]
    again = f'\n\n```bash\n{command}\n```' if command else ''
    return f'## Figures\n\n{_table(rows)}{again}'


def _guaranteed(guarantee: Mapping[str, Any] | None) -> str:
    if not guarantee:
        return ''
    return (
        f'## Guarantee\n\n{describe_guarantee(guarantee)} It holds where new images could as well '
        'have been among these, and not for each image.'
    )


def _table(rows: Sequence[tuple[str, str]]) -> str:
    lines = [f'| {key} | {value} |' for key, value in rows]
    return '\n'.join(['| | |', '|---|---|', *lines])
