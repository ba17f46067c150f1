import pytest

from mmdiffseg.models.referring.root_finder import Root
from mmdiffseg.models.referring.sentences import check_sentence, token_position


@pytest.mark.parametrize(
    ('text', 'root', 'match', 'position'),
    [
        ('red circle on the left', Root('circle', 4), 'substring', 2),
        # the last of its two tokens
        ('a skateboarder', Root('skateboarder', 2), 'substring', 3),
        # the letters of 'a' are met in 'man' first, whose one token then ends at 'ma'
        ('left man a dog', Root('a', 9), 'token', 3),
        ('left man a dog', Root('a', 9), 'substring', 2),
        # the prefix 'ska' has more tokens than the text that has one
        ('skate', Root('skate', 0), 'substring', 1),
    ],
)
def test_position_of_the_last_token_of_the_root(tokenizer, text, root, match, position):
    assert token_position(tokenizer, text, root, match=match) == position


@pytest.mark.parametrize(
    ('text', 'fault'),
    [
        ('', 'must say something'),
        ('zebra unicorn', "knows no word of 'zebra unicorn'"),
        ('red ' * 11, 'has 11 tokens and the text encoder reads 10'),
    ],
)
def test_bad_sentences(tokenizer, text, fault):
    with pytest.raises(ValueError, match=fault):
        check_sentence(tokenizer, text, Root('red', 0))


def test_known_words_need_no_note(tokenizer):
    assert check_sentence(tokenizer, 'red ' * 10, Root('red', 0)) == []
    assert check_sentence(tokenizer, 'a Skateboarder, on top', Root('Skateboarder', 2)) == []


def test_unknown_words_are_noted(tokenizer):
    (note,) = check_sentence(tokenizer, 'red zebra', Root('zebra', 4))
    assert "does not know 'zebra', the word that 'red zebra' is about" in note
    (note,) = check_sentence(tokenizer, 'pink dog in a tutu', Root('dog', 5))
    assert "does not know 'pink', 'in', 'tutu' in 'pink dog in a tutu'" in note
    assert len(check_sentence(tokenizer, 'red pink zebra', Root('zebra', 9))) == 2
