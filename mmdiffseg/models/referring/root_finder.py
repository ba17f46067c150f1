"""The word a referring expression is about: Ref-Diff looks at the attention of that word alone."""

import json
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from mmdiffseg.registry import TASK_UTILS

DETERMINERS = frozenset('a an the this that these those his her their its my your'.split())
# where the noun phrase at the front of a sentence ends: prepositions, relative words, auxiliaries
# and the participles that referring expressions are full of
STOPS = frozenset(
    """in on at with of by from behind under over near next to beside between above below against
    inside outside around across along closest wearing holding sitting standing facing looking
    riding eating playing walking carrying that which who whose where is are was were being has have
    had""".split()
)
# 'man far left': where it is follows what it is
PLACES = frozenset('left right top bottom middle center centre front back far'.split())


class Root(NamedTuple):
    """The root word of a text, as it is written there, and the place of its first character."""

    word: str
    start: int


class RootTokenFinder(Protocol):
    """Finds the word that a text is about."""

    def find(self, text: str) -> Root:
        """Find the root of a text that is not empty."""


class ParsedToken(Protocol):
    """What is needed of a spaCy token: its text, dependency label and place in the sentence."""

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

    The last word before the first preposition, relative word, auxiliary or common participle,
    without the determiners before it and the words of place after it; if there is none, the first
    word that is no determiner, else the whole text.
    """

    def find(self, text: str) -> Root:
        """Find the root of a text that is not empty."""
        words = [Root(match[0], match.start()) for match in re.finditer(r"[\w'-]+", text)]
        while words and words[0].word.lower() in DETERMINERS:
            words = words[1:]
        phrase = []
        for word in words:
            if word.word.lower() in STOPS:
                break
            phrase.append(word)
        while len(phrase) > 1 and phrase[-1].word.lower() in PLACES:
            phrase.pop()
        return phrase[-1] if phrase else words[0] if words else Root(text, 0)


@TASK_UTILS.register_module()
class PrecomputedRootTokenFinder:
    """Roots from a file, such as those of a parser that ran elsewhere.

    Args:
        path: JSON object: text -> root word.
    """

    def __init__(self, *, path: str) -> None:
        self.path = path
        self.words = json.loads(Path(path).read_text(encoding='utf-8'))

    def find(self, text: str) -> Root:
        """Find the root of a text.

        Raises:
            ValueError: The file does not know the text, or its root is not in the text.
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
    """Take spaCy's parse where it is installed, else the rule, with a warning."""
    try:
        return SpacyRootTokenFinder()
    except ImportError as error:
        warnings.warn(f'roots are found by RuleRootTokenFinder, since {error}', stacklevel=2)
        return RuleRootTokenFinder()
