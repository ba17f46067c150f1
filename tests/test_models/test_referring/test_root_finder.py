import json
from types import SimpleNamespace

import pytest

from mmdiffseg.models.referring.root_finder import (
    PrecomputedRootTokenFinder,
    Root,
    RuleRootTokenFinder,
    auto_root_token_finder,
    first_labelled,
)

ROOTS = {
    'left guy in red': 'guy',
    'the second woman from the left': 'woman',
    'man far right': 'man',
    'bottom left': 'bottom',
    'The red circle next to the blue square': 'circle',
    'person wearing a hat': 'person',
    "that man's t-shirt which is blue": 't-shirt',
    'woman man on right': 'man',
    'in the middle': 'in',
    'the': 'the',
    '?!': '?!',
    'man and woman': 'man',
    'dog not on couch': 'dog',
    'umbrella held by woman': 'umbrella',
    'bowl filled with fruit': 'bowl',
    'lady w/ umbrella': 'lady',
    'chair farthest right': 'chair',
    'bus number 5': 'bus',
    'the dog is running': 'dog',
    'he has the bike': 'he',
    'black and white cow': 'cow',
    'closest chair': 'chair',
    'second closest bus to us': 'bus',
    'sitting woman on the left': 'woman',
    'white parked car': 'car',
    'car parked on the street': 'car',
    'man seated': 'man',
    'tall building on left': 'building',
    'red bed in the corner': 'bed',
    'the double bed by the window': 'bed',
    'girl her back to us': 'girl',
    'woman you can see': 'woman',
    'white cup to right of plate': 'cup',
    'player 12': 'player',
    'number 5': 'number',
    'all the people': 'people',
    'man with no hat': 'man',
    'kid w/o helmet': 'kid',
    'man in black and white': 'man',
    'the two dogs': 'dogs',
    'red striped shirt': 'shirt',
    'old bearded man': 'man',
    'woman dressed in blue': 'woman',
    'dog lying under the table': 'dog',
    'the red sitting cat': 'cat',
    'pizza slice closest to camera': 'slice',
    'half eaten sandwich': 'sandwich',
    'cat that is black': 'cat',
    'the largest shape': 'shape',
    'the shape at the top': 'shape',
    'the ring': 'ring',
    'blue triangles': 'triangles',
    'left': 'left',
    'right side of pizza': 'side',
    'giraffe facing away': 'giraffe',
    'horse being led': 'horse',
    'the man holding a racket': 'man',
    'sandwich cut in half': 'sandwich',
    'boat with people in it': 'boat',
    'smiling old lady': 'lady',
    'green suitcase': 'suitcase',
    'third zebra from left': 'zebra',
    'bread on the plate': 'bread',
    'a sheet covered bed': 'bed',
    "girl's left hand": 'hand',
}


@pytest.mark.parametrize(('text', 'root'), ROOTS.items())
def test_rule(text, root):
    found = RuleRootTokenFinder().find(text)
    assert found.word == root
    assert text[found.start :].startswith(root)


def test_rule_points_at_the_noun_and_not_at_its_letters():
    assert RuleRootTokenFinder().find('the woman man on the right') == Root('man', 10)


def parse(text, labels):
    """What spaCy would return: words with their labels and places."""
    places = [text.index(word) for word in text.split()]
    return [
        SimpleNamespace(text=word, dep_=label, idx=start)
        for word, label, start in zip(text.split(), labels, places, strict=True)
    ]


@pytest.mark.parametrize(
    ('text', 'labels', 'root'),
    [
        ('left guy in red', ['amod', 'ROOT', 'prep', 'pobj'], Root('guy', 5)),
        ('the dog is running', ['det', 'nsubj', 'aux', 'ROOT'], Root('dog', 4)),
        ('he has the bike', ['nsubj', 'ROOT', 'det', 'dobj'], Root('he', 0)),
        ('is seen there', ['auxpass', 'ROOT', 'advmod'], Root('seen', 3)),
        ('red blue', ['amod', 'amod'], None),
    ],
)
def test_first_root_or_subject_of_a_parse(text, labels, root):
    assert first_labelled(parse(text, labels), ('ROOT', 'subj')) == root


def test_precomputed(tmp_path):
    path = tmp_path / 'roots.json'
    path.write_text(json.dumps({'the red dog': 'dog', 'a cat': 'dog'}))
    finder = PrecomputedRootTokenFinder(path=str(path))
    assert finder.find('the red dog') == Root('dog', 8)
    with pytest.raises(ValueError, match="no root word for 'a bird'"):
        finder.find('a bird')
    with pytest.raises(ValueError, match="'dog' .* is not in 'a cat'"):
        finder.find('a cat')


def test_auto_falls_back_with_a_warning(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'spacy', None)
    with pytest.warns(UserWarning, match='pip install spacy'):
        assert isinstance(auto_root_token_finder(), RuleRootTokenFinder)
