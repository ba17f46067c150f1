"""What to say about a scene, and which shapes each word means."""

from dataclasses import dataclass, field

import numpy as np
from scenes import SIZE
from shapes_language import NOUN, SIDES, SIZE_RATIO, WORDS, Thing


@dataclass
class Caption:
    """Words, and for the words that name something the numbers of the things that they mean."""

    words: list[str] = field(default_factory=list)
    meant: dict[int, list[int]] = field(default_factory=dict)  # position in words -> things

    def say(self, words: str) -> None:
        """Add words that name nothing."""
        self.words += words.split()

    def name(self, phrase: str, things: list[Thing], chosen: list[int] | None = None) -> None:
        """Add a phrase such as 'red circle': the colour means all that have it, the noun fewer."""
        *color, noun = phrase.split()
        for word in color:
            self.meant[len(self.words)] = [
                number for number, thing in enumerate(things) if thing.color == word
            ]
            self.words.append(word)
        self.meant[len(self.words)] = chosen or [
            number for number, thing in enumerate(things) if thing.fits(phrase)
        ]
        self.words.append(noun)


def draw_phrase(thing: Thing, rng: np.random.Generator) -> str:
    """One of the names of a thing: half of the time colour and shape, else one of the two."""
    return str(rng.choice(thing.phrases[1:], p=(0.3, 0.2, 0.5)))


def draw_suffix(thing: Thing, rng: np.random.Generator) -> str:
    """Where in the picture a thing is: 'on the left'."""
    fits = [
        side for side, (axis, sign) in SIDES.items() if sign * (SIZE / 2 - thing.center[axis]) > 0
    ]
    return str(rng.choice(fits)) if fits else 'on the left'


def draw_caption(things: list[Thing], rng: np.random.Generator) -> Caption:
    """Speak of one to three of the things of a scene."""
    caption = Caption()
    count = min(int(rng.choice((1, 2, 3), p=(0.5, 0.25, 0.25))), len(things))
    for turn, number in enumerate(rng.permutation(len(things))[:count]):
        thing, how = things[number], rng.random()
        if turn:
            caption.say('and')
        phrase = draw_phrase(thing, rng)
        if how < 0.15 and (word := size_word(number, things, NOUN)):
            caption.say(f'the {word}')
            caption.name(NOUN, things, [number])
        elif how < 0.3 and (word := size_word(number, things, thing.shape)):
            caption.say(f'the {word}')
            caption.name(thing.shape, things, [number])
        else:
            caption.say(article(phrase, rng))
            caption.name(phrase, things)
        if 0.3 < how < 0.45:
            caption.say(draw_suffix(thing, rng))
        elif 0.45 < how < 0.55:
            anchor = things[rng.integers(len(things))].phrases[-1]
            caption.say('next to the')
            caption.name(anchor, things)
    return caption


def size_word(number: int, things: list[Thing], noun: str) -> str | None:
    """'largest' or 'smallest' where that clearly tells a thing from the others of a noun."""
    area = things[number].area
    areas = [t.area for k, t in enumerate(things) if k != number and t.fits(noun)]
    if areas and area >= SIZE_RATIO * max(areas):
        return 'largest'
    if areas and SIZE_RATIO * area <= min(areas):
        return 'smallest'
    return None


def article(phrase: str, rng: np.random.Generator) -> str:
    """'the', or as often 'a' or 'an'."""
    if rng.random() < 0.5:
        return 'the'
    return 'an' if phrase[0] in 'aeiou' else 'a'


def build_tokenizer():
    """A word-level tokenizer in CLIP's manner: start and end words, filled up with end words."""
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    unknown, start, end = '<|unknown|>', '<|startoftext|>', '<|endoftext|>'
    # The end has the greatest id, as in CLIP, and not 2, which transformers takes for a mistake.
    ids = {word: index for index, word in enumerate((unknown, *WORDS, start, end))}
    tokenizer = Tokenizer(WordLevel(ids, unk_token=unknown))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), normalizers.Replace(Regex(r'[^\w\s]'), ' ')]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f'{start} $A {end}', special_tokens=[(start, ids[start]), (end, ids[end])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=unknown,
        bos_token=start,
        eos_token=end,
        pad_token=end,
        model_max_length=32,
    )
