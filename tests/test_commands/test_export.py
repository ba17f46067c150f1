import json
from types import SimpleNamespace

from mmdiffseg import cli


def test_the_command_hands_its_options_on(tmp_path, monkeypatch, capsys):
    seen = {}

    def pretend(folder, **options):
        seen.update(options)
        folder.mkdir()
        (folder / 'step.onnx').write_bytes(bytes(2_500_000))
        return folder

    monkeypatch.setattr(
        'mmdiffseg.commands.model_option.load_model', lambda args: SimpleNamespace(export=pretend)
    )
    words = ['export', 'nuclei', '--out', str(tmp_path / 'out'), '--size', '64', '96', '--json']
    args = cli.parse_args([*words, '--steps', '3'])
    args.run(args)
    assert json.loads(capsys.readouterr().out)['megabytes'] == 2.5
    assert seen['size'] == (64, 96) and seen['steps'] == [3] and seen['format'] == 'onnx'
