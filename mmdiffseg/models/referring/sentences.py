"""Referring expressions as tokens of a text encoder."""

import re
from typing import TYPE_CHECKING

from mmdiffseg.models.referring.root_finder import Root

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MATCHES = ('substring', 'token')


def token_ids(tokenizer: 'PreTrainedTokenizerBase', text: str) -> list[int]:
    """Tokens of a text, without the start and end tokens."""
    return tokenizer(text, add_special_tokens=False, verbose=False).input_ids


def check_sentence(tokenizer: 'PreTrainedTokenizerBase', text: str, root: Root) -> list[str]:
    """Refuse a sentence that a text encoder cannot read, and name the words that it ignores.

    Returns:
        Notes for the user, in plain sentences.

    Raises:
        ValueError: The text is empty or too long, or the tokenizer knows none of its words.
    """
    if not text:
        raise ValueError('a referring expression must say something, but it is empty')
    ids, limit = token_ids(tokenizer, text), tokenizer.model_max_length - 2
    if len(ids) > limit:
        raise ValueError(
            f'the sentence {text[:40]!r}... has {len(ids)} tokens and the text encoder reads '
            f'{limit}: shorten it'
        )

    def unknown(words: str) -> bool:
        return tokenizer.unk_token_id in token_ids(tokenizer, words)

    if all(token == tokenizer.unk_token_id for token in ids):
        raise ValueError(
            f'the text encoder knows no word of {text!r}: use words that it was trained with'
        )
    notes = []
    if unknown(root.word):
        notes.append(
            f'the text encoder does not know {root.word!r}, the word that {text!r} is about: the '
            'answer means nothing. Use a word that it was trained with'
        )
    words = dict.fromkeys(re.findall(r"[\w'-]+", text))
    ignored = [repr(word) for word in words if word != root.word and unknown(word)]
    if ignored:
        notes.append(
            f'the text encoder does not know {", ".join(ignored)} in {text!r}: the answer does not '
            'depend on what that means'
        )
    return notes


def token_position(
    tokenizer: 'PreTrainedTokenizerBase', text: str, root: Root, *, match: str = 'substring'
) -> int:
    """Place of the last token of the root word in the encoded text, whose start token is at 0.

    Args:
        tokenizer: One that puts one token before a text.
        text: The sentence.
        root: Its root word.
        match: ``'substring'``: where the letters of the root first occur, even inside another word,
            as in the released code; ``'token'``: where the root stands.

    Returns:
        A position in 1 .. number of tokens.
    """
    start = text.find(root.word) if match == 'substring' else root.start
    prefix = text[: start + len(root.word)]
    return min(len(token_ids(tokenizer, prefix)), len(token_ids(tokenizer, text)))
