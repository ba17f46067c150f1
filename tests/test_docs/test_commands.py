"""What the pages tell to type: it exists, and it runs in a test or says what it needs."""

import ast
import re
import shlex
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    path.relative_to(ROOT)
    for pattern in (
        '*.md',
        'docs/**/*.md',
        'configs/*/README.md',
        'demo/**/*.md',
        'mmdiffseg/zoo/*.md',  # not the cards, which tell what their figures were measured with
    )
    for path in sorted(ROOT.glob(pattern))
]
FENCE = re.compile(r'^ *```(\w*)\n(.*?)^ *```', re.MULTILINE | re.DOTALL)
#: before a block that no test can run as it stands
MARK = re.compile(r'<!-- needs: ([\w, ]+) -->\n+ *\Z')
NEEDS = {'data', 'weights', 'GPU', 'network', 'time', 'a browser'}
#: stands for a file that the reader has and a test has not
PLACEHOLDER = re.compile(r'CHECKPOINT|/my/|https?:|\.(pth|ckpt|pkl)\b')
SCRIPT = re.compile(r'(?:python|bash|sh) ((?:tools|demo)/[\w/]+\.(?:py|sh))')


class Block(NamedTuple):
    """A block of code of a page."""

    page: Path
    language: str
    text: str
    needs: tuple[str, ...]

    @property
    def lines(self):
        """Commands, with continued lines joined and comments gone."""
        joined = re.sub(r'\\\n', ' ', self.text)
        lines = (line.strip() for line in joined.splitlines())
        return [line for line in lines if line and not line.startswith('#')]


def blocks(*languages):
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text()
        for match in FENCE.finditer(text):
            mark = MARK.search(text, 0, match.start())
            needs = tuple(mark[1].split(', ')) if mark else ()
            if match[1] in languages:
                found.append(Block(page, match[1], match[2], needs))
    return found


SHELL = blocks('bash', 'shell', 'sh', 'console')


@cache
def all_tests():
    return '\n'.join(path.read_text() for path in (ROOT / 'tests').rglob('*.py'))


@cache
def options_of(script):
    """All options in the source of a script and of what it imports from here."""
    seen, waiting, options = set(), [ROOT / script], set()
    while waiting:
        path = waiting.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        text = path.read_text()
        if "(f'--{" in text:
            options.add('any')
        options |= set(re.findall(r"['\"](--?[a-z][\w-]*)['\"]", text))
        for node in ast.walk(ast.parse(text)) if path.suffix == '.py' else ():
            if not isinstance(node, ast.ImportFrom) or node.module is None:
                continue
            if node.module.startswith(('mmdiffseg.engine', 'mmdiffseg.apis')):
                package = ROOT / node.module.replace('.', '/')
                waiting += [package.with_suffix('.py')]
                waiting += [package / f'{alias.name}.py' for alias in node.names]
            else:
                waiting.append(path.parent / f'{node.module}.py')
    return options


def ids(block):
    return f'{block.page}: {block.lines[0][:60] if block.lines else ""}'


def test_marks_say_what_is_missing():
    assert len(SHELL) > 30
    for block in SHELL:
        assert set(block.needs) <= NEEDS, block.page


@pytest.mark.parametrize('block', SHELL, ids=ids)
def test_scripts_and_options_exist(block):
    """Of every block, marked or not."""
    for line in block.lines:
        for part in re.split(r'; |&& ', line):
            found = SCRIPT.search(part)
            if found is None:
                continue
            script = found[1]
            assert (ROOT / script).is_file(), script
            if script.endswith('.sh'):
                known = options_of('tools/train.py') | options_of('tools/test.py')
            else:
                known = options_of(script)
            for option in re.findall(r'(?<=\s)--[a-z][\w-]*', part[found.end() :]):
                assert known & {option, 'any'} or option == '--help', f'{script} has no {option}'
            for config in re.findall(r'configs/[\w./-]+\.py', part):
                assert (ROOT / config).is_file() or '_mine' in config, config


@pytest.mark.parametrize('block', [b for b in SHELL if not b.needs], ids=ids)
def test_a_block_without_a_mark_runs_in_a_test(block):
    assert not PLACEHOLDER.search(block.text), 'say what it needs: <!-- needs: data, weights -->'
    for line in block.lines:
        check_runs(shlex.split(line, comments=True))


def check_runs(command):
    while command and re.fullmatch(r'\w+=\S*', command[0]):
        command = command[1:]  # variables of the environment
    program, *rest = command
    if program == 'make':
        targets = re.search(r'^\.PHONY: (.*)$', (ROOT / 'Makefile').read_text(), re.MULTILINE)
        assert {word for word in rest if '=' not in word} <= set(targets[1].split())
    elif program == 'pip':
        declared = (ROOT / 'pyproject.toml').read_text()
        for extras in re.findall(r'\[([\w,]+)\]', ' '.join(rest)):
            for extra in extras.split(','):
                assert f'\n{extra} = ' in declared, f'there is no extra {extra}'
    elif program == 'mmdiffseg':
        if find_spec('mmdiffseg.cli') is None:
            pytest.skip('needs the command mmdiffseg')
        from mmdiffseg.cli import parse_args

        parse_args(rest)
    elif program in ('python', 'bash'):
        known = Path(rest[0]).name in all_tests() or f"'{Path(rest[0]).stem}'" in all_tests()
        assert known, f'no test runs {rest[0]}: mark the block with <!-- needs: ... -->'
    else:
        pytest.fail(f'no test runs {program}: mark the block with <!-- needs: ... -->')


@pytest.mark.parametrize('block', blocks('python'), ids=ids)
def test_python_compiles(block):
    compile(block.text.replace(', ...)', ')'), str(block.page), 'exec')


def test_the_head_of_the_guide_learns():
    """docs/howto/own_head.md: its classes are registered, built and trained for a step."""
    import torch
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    from mmdiffseg.registry import LABEL_ENCODERS, MODELS

    names = {}
    for block in blocks('python'):
        if block.page == Path('docs/howto/own_head.md'):
            exec(block.text, names)
    try:
        encoder = names['SignEncoder'](num_classes=2, scale=1.0)
        x0 = encoder.encode(torch.tensor([[[0, 1, 255]]]))
        assert x0.flatten().tolist() == [-1, 1, 0]
        assert encoder.decode(x0[..., :2]).flatten().tolist() == [0, 1]

        head = names['PlainHead'](in_channels=3, num_classes=2)
        labels = torch.zeros(1, 16, 16, dtype=torch.long)
        sample = SegDataSample(gt_sem_seg=PixelData(data=labels))
        losses = head.loss((torch.zeros(1, 3, 16, 16),), [sample], {})
        losses['loss_ce'].backward()
        assert any(p.grad is not None and p.grad.any() for p in head.parameters())
    finally:
        LABEL_ENCODERS.module_dict.pop('SignEncoder')
        MODELS.module_dict.pop('PlainHead')
