import pytest
import torch

from mmdiffseg.engine.work_dir import newest_checkpoint, refuse_to_overwrite


@pytest.fixture
def run(tmp_path):
    """A work dir with three checkpoints."""
    folder = tmp_path / 'run'
    folder.mkdir()
    for number in (2, 4, 10):
        save(folder / f'iter_{number}.pth')
    save(folder / 'best_mIoU_iter_12.pth')
    (folder / 'iter_12.pth.part').write_bytes(b'')
    (folder / 'last_checkpoint').write_text(str(folder / 'iter_10.pth'))
    return folder


def save(path):
    torch.save({'state_dict': {'weight': torch.arange(1000.0)}}, path)


@pytest.mark.parametrize('pointer', ['right', 'gone', 'empty', 'dangling', 'behind'])
def test_the_newest_is_found_whatever_the_pointer_says(run, pointer):
    texts = dict(empty='', dangling=str(run / 'iter_99.pth'), behind=str(run / 'iter_2.pth'))
    if pointer == 'gone':
        (run / 'last_checkpoint').unlink()
    elif pointer in texts:
        (run / 'last_checkpoint').write_text(texts[pointer])
    assert newest_checkpoint(run).name == 'iter_10.pth'


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def empty(path):
    path.write_bytes(b'')


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize('damage', [cut, empty, flip_a_bit])
def test_a_damaged_one_is_said_and_the_one_before_it_taken(run, damage, capsys):
    damage(run / 'iter_10.pth')
    assert newest_checkpoint(run).name == 'iter_4.pth'
    said = capsys.readouterr().out
    assert said.startswith(f'{run / "iter_10.pth"} is damaged (') and said.count('\n') == 1


def test_none_of_several_is_whole(run):
    for path in run.glob('iter_*.pth'):
        empty(path)
    with pytest.raises(ValueError, match='none of the 3 checkpoints .* is whole'):
        newest_checkpoint(run)


def test_checkpoints_in_another_folder_and_under_other_names_are_found(run, tmp_path):
    save(tmp_path / 'iter_11.pth')
    (run / 'last_checkpoint').write_text(str(tmp_path / 'iter_11.pth'))
    assert newest_checkpoint(run) == tmp_path / 'iter_11.pth'
    save(run / 'step-1.pth')
    (run / 'last_checkpoint').write_text(str(run / 'step-1.pth'))
    assert newest_checkpoint(run).name == 'step-1.pth'


def test_a_work_dir_without_checkpoints(tmp_path):
    assert newest_checkpoint(tmp_path / 'none') is None
    refuse_to_overwrite(tmp_path)


def test_a_new_training_overwrites_none(run):
    with pytest.raises(FileExistsError, match=r'iter_10\.pth.*give --resume'):
        refuse_to_overwrite(run)
