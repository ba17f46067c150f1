import pytest

from mmdiffseg.output_dir import claim_output_dir, finish_output_dir


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / 'photos'
    folder.mkdir()
    (folder / 'a.jpg').touch()
    return folder


def test_finished_results_are_not_overwritten_unasked(tmp_path):
    folder = claim_output_dir(tmp_path / 'new' / 'out')
    (folder / 'a.png').touch()
    finish_output_dir(folder)
    with pytest.raises(FileExistsError, match='out is not empty.*--overwrite'):
        claim_output_dir(folder)
    assert claim_output_dir(folder, overwrite=True) == folder


def test_what_an_interrupted_run_has_left_is_no_hindrance(tmp_path):
    folder = claim_output_dir(tmp_path / 'out')
    (folder / 'a.png').touch()
    assert claim_output_dir(folder) == folder  # also: another process of the same run


@pytest.mark.parametrize('inputs', ['photos', 'photos/a.jpg'])
@pytest.mark.parametrize('overwrite', [True, False])
def test_nothing_is_written_among_the_inputs(photos, tmp_path, inputs, overwrite, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (photos, 'photos', photos / '..' / 'photos'):
        with pytest.raises(FileExistsError, match='among the inputs'):
            claim_output_dir(folder, inputs=[tmp_path / inputs], overwrite=overwrite)
    assert [path.name for path in photos.iterdir()] == ['a.jpg']


def test_results_may_lie_below_the_folder_of_a_picture_but_not_of_a_data_set(photos):
    claim_output_dir(photos / 'out', inputs=[photos / 'a.jpg'])
    with pytest.raises(FileExistsError, match='among the inputs'):
        claim_output_dir(photos / 'other', inputs=[photos])


def test_a_file_is_no_folder(photos):
    with pytest.raises(FileExistsError, match='a.jpg is a file'):
        claim_output_dir(photos / 'a.jpg')
