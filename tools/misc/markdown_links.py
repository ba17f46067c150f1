"""Rewrite the links of a Markdown page that is shown elsewhere than where it lies."""

import posixpath
import re
from collections.abc import Callable

#: blocks between fences, which are left as they are
FENCED = re.compile(r'(^ *```.*?^ *```[^\n]*$)', re.MULTILINE | re.DOTALL)
#: [text](address) and ![text](address); the text may hold a picture, but no other link
LINK = re.compile(r'(!?)\[((?:[^\[\]]|!\[[^\]]*\]\([^)]*\)|\[[^\]]*\](?!\())*)\]\(([^()\s]+)\)')
#: http:, mailto:, and the like
SCHEME = re.compile(r'[a-z][a-z0-9+.-]*:')


def rewrite_links(text: str, address_of: Callable[[str], str | None], *, page: str) -> str:
    """Give every link to a file of the repository another address.

    Args:
        text: The page.
        address_of: Says the address of a path relative to the root of the repository, or None where
            there is none: then the text of the link stays alone, and a picture goes.
        page: Path of the page, relative to the root, to which its links are relative.

    Returns:
        The page; addresses of the web and places on the page itself stay.
    """

    def new_link(match: re.Match) -> str:
        picture, label, target = match.groups()
        if not picture:
            label = LINK.sub(new_link, label)
        path, mark, place = target.partition('#')
        if SCHEME.match(target) or not path:
            return f'{picture}[{label}]({target})'
        address = address_of(posixpath.normpath(posixpath.join(posixpath.dirname(page), path)))
        if address is None:
            return '' if picture else label
        return f'{picture}[{label}]({address}{mark}{place})'

    parts = FENCED.split(text)
    parts[::2] = [LINK.sub(new_link, part) for part in parts[::2]]
    return ''.join(parts)
