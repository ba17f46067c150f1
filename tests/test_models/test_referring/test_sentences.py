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
        ('  ', 'must say something'),
        ('zebra unicorn', "knows no word of 'zebra unicorn'"),
        ('red ' * 11, 'has 11 tokens, 10 fit'),
    ],
)
def test_bad_sentences(tokenizer, text, fault):
    with pytest.raises(ValueError, match=fault):
        check_sentence(tokenizer, text)


def test_one_known_word_is_enough(tokenizer):
    check_sentence(tokenizer, 'red ' * 10)
    check_sentence(tokenizer, 'red zebra')


def test_unknown_root(tokenizer):
    with pytest.warns(UserWarning, match="does not know 'zebra', which 'red zebra' is about"):
        assert token_position(tokenizer, 'red zebra', Root('zebra', 4)) == 2
