"""Write a model as graphs that run without torch.

mmdiffseg export nuclei --out nuclei_onnx
mmdiffseg export nuclei --out nuclei_int8 --precision int8 --calibration some_pictures

`mmdiffseg.runtime.load(FOLDER)` runs them by numpy and onnxruntime (pip install
'mmdiffseg[onnx]') or OpenVINO ('mmdiffseg[openvino]').
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        'model',
        metavar='MODEL',
        help='shipped model, model folder, owner/name of the Hub, or config',
    )
    parser.add_argument('--checkpoint', help='weights of a config')
    parser.add_argument('--out', type=Path, required=True, help='folder to write')
    parser.add_argument('--format', choices=['onnx', 'openvino', 'torch'], default='onnx')
    parser.add_argument(
        '--size', type=int, nargs=2, metavar=('H', 'W'), help='fixed size of the pictures'
    )
    parser.add_argument(
        '--steps', type=int, nargs='+', help='step counts that can be asked for (1 to 10 and 25)'
    )
    parser.add_argument('--precision', choices=['fp32', 'int8'], default='fp32')
    parser.add_argument(
        '--weights', choices=['fp32', 'fp16'], default='fp32', help='how weights are stored'
    )
    parser.add_argument('--calibration', metavar='FOLDER', help='a few pictures, for int8')
    parser.add_argument('--deform-attn', choices=['grid_sample', 'gather'], default='grid_sample')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier export')
    parser.add_argument('--json', action='store_true', help='print JSON')


def run(args: argparse.Namespace) -> None:
    """Load the model and write it."""
    from mmdiffseg.commands.model_option import load_model, tell

    source = dict(model=args.model, checkpoint=args.checkpoint)
    segmenter = load_model(argparse.Namespace(**source, device='cpu', precision='fp32'))
    folder = segmenter.export(
        args.out,
        format=args.format,
        size=tuple(args.size) if args.size else None,
        steps=args.steps,
        precision=args.precision,
        weights=args.weights,
        calibration=args.calibration,
        deform_attn=args.deform_attn,
        overwrite=args.overwrite,
    )
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    tell(dict(folder=str(folder), megabytes=round(size, 2)), as_json=args.json)
