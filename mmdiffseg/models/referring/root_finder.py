"""The root word of a referring expression: Ref-Diff looks at the attention to this word alone."""

import re
import warnings
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from mmdiffseg.models.referring.json_file import read_json_object
from mmdiffseg.registry import TASK_UTILS

# Words by what they do in the short noun phrases of referring expressions
DETERMINERS = frozenset(
    'a an the this that these those all both his her their its my your our'.split()
)
# end the phrase: prepositions, relative words, auxiliaries
STOPS = frozenset(
    """in on at with w w/o without of by from behind under over near next to toward towards beside
    besides between above below underneath beneath against inside outside into onto off out around
    across along through for as like that which who whose where when while is are was were be being
    isn't aren't has have had does do can could""".split()
)
# end the phrase once it has its noun, or else describe the noun: 'cat sitting', 'the sitting cat'
MODIFIERS = frozenset(
    """and or but not no just only almost partly partially mostly barely
    wearing holding sitting standing facing looking riding eating playing walking carrying lying
    laying leaning hanging talking running using reaching jumping swinging bending watching smiling
    laughing pointing pulling pushing flying swimming crossing driving drinking sleeping cutting
    throwing catching hitting kicking grazing feeding touching kneeling resting turning
    held seen shown made worn cut
    closest nearest farthest furthest closer nearer farther further number
    i you he she it we they""".split()
)
# describe a noun and are not what a phrase is about
ADJECTIVES = frozenset(
    """red orange yellow green teal blue purple pink brown black white grey gray silver gold golden
    tan beige dark light bright big bigger biggest large larger largest small smaller smallest tall
    taller tallest short shorter shortest long old young little tiny huge first second third fourth
    fifth last other same whole""".split()
)
# 'man far left': places follow the noun as well
PLACES = frozenset('left right top bottom middle center centre front back far'.split())
# common nouns that look like participles
NOUNS = frozenset('bed seed shed sled weed moped'.split())
NOT_NOUNS = DETERMINERS | MODIFIERS | ADJECTIVES | PLACES


class Root(NamedTuple):
    """The root word of a text, as it is written there, and the place of its first character."""

    word: str
    start: int


class RootTokenFinder(Protocol):
    """Finds the word that a text is about."""

    def find(self, text: str) -> Root:
        """Find the root of a text."""


class ParsedToken(Protocol):
    """What we need from a spaCy token: its text, dependency label and place in the sentence."""

    text: str
    dep_: str
    idx: int


def first_labelled(tokens: Iterable[ParsedToken], labels: Sequence[str]) -> Root | None:
    """First token of a parse whose dependency label contains one of ``labels``, or None."""
    for token in tokens:
        if any(label in token.dep_ for label in labels):
            return Root(token.text, token.idx)
    return None


@TASK_UTILS.register_module()
class SpacyRootTokenFinder:
    """Root by spaCy's dependency parse: the first token that is the root or a subject.

    A subject before the root verb wins: 'the dog is running' is about the dog. Without either, the
    whole text is the root. As in the released code.

    Args:
        model: Name or folder of a spaCy pipeline with a parser.
        labels: Parts of dependency labels to look for.

    Raises:
        ImportError: spaCy or the pipeline is not installed.
    """

    def __init__(
        self, *, model: str = 'en_core_web_sm', labels: Sequence[str] = ('ROOT', 'subj')
    ) -> None:
        try:
            import spacy

            self.parse = spacy.load(model)
        except (ImportError, OSError) as error:
            raise ImportError(
                f'spaCy or its pipeline {model!r} is not installed: `pip install spacy` and '
                f"`python -m spacy download {model}`, or use type='RuleRootTokenFinder'"
            ) from error
        self.labels = labels

    def find(self, text: str) -> Root:
        """Find the root of a text that is not empty."""
        return first_labelled(self.parse(text), self.labels) or Root(text, 0)


@TASK_UTILS.register_module()
class RuleRootTokenFinder:
    """Root by a rule for the short noun phrases of referring expressions; needs no parser.

    The root is the last word of the noun phrase at the front: the words before the first
    preposition, relative word, auxiliary, participle or 'and' that follows a noun, without the
    determiners before the noun, and without the numbers and words of place after it.

    Example:
        >>> RuleRootTokenFinder().find('the second woman from the left')
        Root(word='woman', start=11)
    """

    def find(self, text: str) -> Root:
        """Find the root of a text; the whole text where it has no word."""
        words = [Root(match[0], match.start()) for match in re.finditer(r"w/o|[\w'-]+", text)]
        while words and words[0].word.lower() in DETERMINERS:
            words = words[1:]
        lower = [word.word.lower() for word in words]
        end = next((i for i in range(len(lower)) if self._ends_before(lower, i)), len(lower))
        while end > 1 and (lower[end - 1] in PLACES or lower[end - 1].isdecimal()):
            end -= 1
        return words[max(end - 1, 0)] if words else Root(text, 0)

    def _ends_before(self, words: list[str], i: int) -> bool:
        """Whether the noun phrase at the front ends before word i."""
        word = words[i]
        if word in STOPS:
            return True
        if i == 0 or words[i - 1] in NOT_NOUNS:
            return False  # the noun is still to come
        # 'bowl filled with', 'car parked': a participle follows the noun, and no noun follows it
        alone = i + 1 == len(words) or words[i + 1] in STOPS
        participle = word.endswith('ed') and word not in NOUNS and alone
        return participle or word in MODIFIERS or word in DETERMINERS


@TASK_UTILS.register_module()
class PrecomputedRootTokenFinder:
    """Roots from a file, for example those of a parser that ran elsewhere.

    Args:
        path: JSON object: text -> root word.

    Raises:
        ValueError: The file is not a JSON object.
    """

    def __init__(self, *, path: str) -> None:
        self.path = path
        self.words = read_json_object(path)

    def find(self, text: str) -> Root:
        """Find the root of a text.

        Raises:
            ValueError: The file does not list the text, or its root is not in the text.
        """
        if text not in self.words:
            raise ValueError(f'{self.path} has no root word for {text!r}')
        start = text.find(self.words[text])
        if start < 0:
            raise ValueError(
                f'the root word {self.words[text]!r} in {self.path} is not in {text!r}'
            )
        return Root(self.words[text], start)


@TASK_UTILS.register_module()
def auto_root_token_finder() -> RootTokenFinder:
    """Use spaCy's parser if it is installed, else the rule, with a warning."""
    try:
        return SpacyRootTokenFinder()
    except ImportError as error:
        warnings.warn(f'RuleRootTokenFinder finds the roots, since {error}', stacklevel=2)
        return RuleRootTokenFinder()
