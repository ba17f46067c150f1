"""Build the playground: a page that runs an exported model in the browser, without a server.

mmdiffseg export nuclei --out nuclei_onnx
python docs/playground/build.py nuclei_onnx --out build/playground
python -m http.server -d build/playground

The folder works from any file server. It holds the page of `mmdiffseg serve` with an engine of its
own, the model, and onnxruntime-web, which npm fetches (16 MB; too large for a repository).
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from mmdiffseg.apis.web.samples import sample_names, sample_png
from mmdiffseg.engine import command_line
from mmdiffseg.output_dir import claim_output_dir, finish_output_dir
from mmdiffseg.runtime.folder import LOOP_FILE, read_loop

HERE = Path(__file__).parent
PAGE = Path(sys.modules[sample_names.__module__].__file__).parent / 'static'
#: the version that the page has been tested with, and the hash of its archive
RUNTIME = 'onnxruntime-web@1.30.0'
SHA256 = 'd2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71'
RUNTIME_FILES = (
    'ort.wasm.min.mjs',
    'ort-wasm-simd-threaded.mjs',
    'ort-wasm-simd-threaded.wasm',
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('model', type=Path, help='folder of an exported model')
    parser.add_argument('--out', type=Path, default=Path('build/playground'), help='(%(default)s)')
    parser.add_argument('--runtime', type=Path, help=f'archive of {RUNTIME}, instead of npm')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier page')
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    """Put the parts into one folder."""
    loop = read_loop(args.model)
    if loop['format'] != 'onnx':
        raise ValueError(f'{args.model} is stored as {loop["format"]}: export it as onnx')
    out = claim_output_dir(args.out, inputs=[args.model, HERE], overwrite=args.overwrite)
    copy(PAGE.glob('*.*'), out)
    copy(HERE.glob('*.js'), out)  # its engine takes the place of the server's
    copy([HERE / 'LICENSE.onnxruntime'], out / 'vendor')
    graphs = [args.model / graph['file'] for graph in loop['graphs'].values()]
    copy([args.model / LOOP_FILE, *graphs], out / 'model')
    (out / 'samples').mkdir(exist_ok=True)
    for name in sample_names():
        (out / 'samples' / f'{name}.png').write_bytes(sample_png(name))
    (out / 'samples/samples.json').write_text(json.dumps(sample_names()))
    with tempfile.TemporaryDirectory() as folder:
        unpack(args.runtime or fetch(Path(folder)), out / 'vendor')
    write_kept(out)
    finish_output_dir(out)
    size = sum(file.stat().st_size for file in out.rglob('*') if file.is_file())
    print(f'{out}: {size / 2**20:.1f} MiB; try it by python -m http.server -d {out}')


def copy(files, folder: Path) -> None:
    """Copy files into a folder."""
    folder.mkdir(exist_ok=True)
    for file in files:
        shutil.copy(file, folder / file.name)


def fetch(folder: Path) -> Path:
    """Let npm fetch the archive of onnxruntime-web.

    Raises:
        FileNotFoundError: There is no npm.
        RuntimeError: It cannot fetch it.
    """
    npm = shutil.which('npm')
    if npm is None:
        raise FileNotFoundError(f'npm fetches {RUNTIME}: install it, or give --runtime')
    command = [npm, 'pack', RUNTIME, '--silent', '--pack-destination', folder]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f'npm cannot fetch {RUNTIME}: {done.stderr.strip()}')
    return folder / done.stdout.strip().splitlines()[-1]


def unpack(archive: Path, folder: Path) -> None:
    """Take what the page needs out of the archive of onnxruntime-web.

    Raises:
        ValueError: It is another archive.
    """
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        raise ValueError(f'{archive} is not {RUNTIME}: its SHA-256 is {found}, not {SHA256}')
    with tarfile.open(archive) as files:
        for name in RUNTIME_FILES:
            with files.extractfile(f'package/dist/{name}') as file:
                (folder / name).write_bytes(file.read())


def write_kept(out: Path) -> None:
    """Tell the service worker what to keep for offline, under a name that changes with it."""
    hashed, names = hashlib.sha256(), []
    for file in sorted(out.rglob('*')):
        name = file.relative_to(out).as_posix()
        if file.is_file() and not name.startswith('.') and name not in ('kept.js', 'offline.js'):
            names.append(name)
            hashed.update(name.encode() + file.read_bytes())
    kept = dict(version=hashed.hexdigest()[:16], files=['./', *names])
    (out / 'kept.js').write_text(f'self.KEPT = {json.dumps(kept, indent=1)};\n')


if __name__ == '__main__':
    command_line.run(main, parse_args)
