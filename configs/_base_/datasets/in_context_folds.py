# The folds of a few-shot benchmark, for --split of tools/train.py and tools/test.py
splits = {
    f'fold-{number}': {
        f'{part}_dataloader.dataset.fold.number': number for part in ('train', 'val', 'test')
    }
    for number in range(4)
}
