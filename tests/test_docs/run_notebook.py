"""Run the code cells of a notebook without Jupyter: python run_notebook.py FILE."""

import ast
import json
import sys
from pathlib import Path


def run(path: Path) -> None:
    """Run the cells in one namespace; a last expression is shown."""
    names = {'__name__': '__main__'}
    for number, cell in enumerate(json.loads(path.read_text())['cells']):
        if cell['cell_type'] != 'code':
            continue
        body = ast.parse(''.join(cell['source']), f'{path.name}, cell {number}').body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), f'cell {number}', 'exec'), names)
        if last is not None:
            shown = eval(compile(ast.Expression(last.value), f'cell {number}', 'eval'), names)
            picture = getattr(shown, '_repr_png_', None)
            if shown is not None:
                print(f'picture of {len(picture())} bytes' if picture else shown)


if __name__ == '__main__':
    run(Path(sys.argv[1]))
