"""Referring expressions as tokens of a text encoder."""

import warnings
from typing import TYPE_CHECKING

from mmdiffseg.models.referring.root_finder import Root

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MATCHES = ('substring', 'token')


def token_ids(tokenizer: 'PreTrainedTokenizerBase', text: str) -> list[int]:
    """Tokens of a text, without those that mark its ends."""
    return tokenizer(text, add_special_tokens=False, verbose=False).input_ids


def check_sentence(tokenizer: 'PreTrainedTokenizerBase', text: str) -> None:
    """Refuse what a text encoder cannot read.

    Raises:
        ValueError: The text is empty, too long, or has no word that the tokenizer knows.
    """
    if not text.strip():
        raise ValueError(f'a referring expression must say something, got {text!r}')
    ids, limit = token_ids(tokenizer, text), tokenizer.model_max_length
    if len(ids) + 2 > limit:
        raise ValueError(
            f'{text!r} has {len(ids)} tokens, {limit - 2} fit between those that mark its '
            f'ends: shorten it'
        )
    if all(token == tokenizer.unk_token_id for token in ids):
        raise ValueError(f'the tokenizer knows no word of {text!r}: use words it was trained with')


def token_position(
    tokenizer: 'PreTrainedTokenizerBase', text: str, root: Root, *, match: str = 'substring'
) -> int:
    """Place of the last token of the root word in the encoded text, whose start token is at 0.

    Warns where the tokenizer does not know that word, so that attention to it means nothing.

    Args:
        tokenizer: One that puts one token before a text.
        text: The sentence.
        root: Its root word.
        match: ``'substring'``: where the letters of the root first occur, as in the released code,
            be it inside another word; ``'token'``: where the root stands.

    Returns:
        A position in 1 .. number of tokens.
    """
    start = text.find(root.word) if match == 'substring' else root.start
    prefix = text[: start + len(root.word)]
    ids = token_ids(tokenizer, text)
    position = min(len(token_ids(tokenizer, prefix)), len(ids))
    if ids[position - 1] == tokenizer.unk_token_id:
        warnings.warn(
            f'the tokenizer does not know {root.word!r}, which {text!r} is about: use a word it '
            f'was trained with, or the attention to it means nothing',
            stacklevel=2,
        )
    return position
