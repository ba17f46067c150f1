"""Sentences about the shapes of a picture, each of which fits exactly one of them.

`expressions` says for every shape which sentences single it out:

=========  ==========================================  ============================================
kind       example                                     fits the only one that
=========  ==========================================  ============================================
colour     the red shape                               is red
shape      the circle                                  is a circle
attribute  the red circle                              is a red circle
size       the largest circle, the smallest shape      is 1.5 times the next of its kind
position   the circle on the left, ... at the bottom   is clearly farther out than others of a kind
relation   the circle next to the blue star            is clearly nearer to the star than others
=========  ==========================================  ============================================

Sizes are visible areas, places are centres of boxes.
"""

from dataclasses import dataclass

from shapes_world import COLORS, OUTLINES

KINDS = ('colour', 'shape', 'attribute', 'size', 'position', 'relation')
NOUN = 'shape'  # what any of them can be called
SIDES = {
    'on the left': (0, 1),
    'on the right': (0, -1),
    'at the top': (1, 1),
    'at the bottom': (1, -1),
}
WORDS = (
    *('a', 'an', 'the', 'and', 'of', 'on', 'at', 'next', 'to', 'left', 'right', 'top', 'bottom'),
    *('largest', 'smallest', NOUN, *COLORS, *OUTLINES),
)

SIZE_RATIO = 1.5  # of the areas of two shapes that differ in size
SIDE_MARGIN = 0.15  # of the picture, between the outermost shape and the next
NEXT_TO = 0.5  # of the short side, the greatest distance of neighbours
NEXT_RATIO = 1.3  # of the distances of the second nearest and the nearest shape


@dataclass(frozen=True)
class Thing:
    """A shape as a speaker sees it."""

    shape: str
    color: str
    area: int  # visible pixels
    center: tuple[float, float]  # x, y in pixels

    def fits(self, phrase: str) -> bool:
        """Whether a phrase such as 'shape', 'circle', 'red shape' or 'red circle' names it."""
        *color, noun = phrase.split()
        return noun in (NOUN, self.shape) and color in ([], [self.color])

    @property
    def phrases(self) -> tuple[str, ...]:
        """All phrases that name it, from the loosest to the closest."""
        return NOUN, self.shape, f'{self.color} {NOUN}', f'{self.color} {self.shape}'

    def distance(self, other: 'Thing') -> float:
        """Pixels between the two centres."""
        (x, y), (other_x, other_y) = self.center, other.center
        return ((x - other_x) ** 2 + (y - other_y) ** 2) ** 0.5


def expressions(things: list[Thing], width: int, height: int) -> list[list[tuple[str, str]]]:
    """All (kind, sentence) pairs that single out each of the things of one picture."""
    sentences = [[] for _ in things]
    for thing, own in zip(things, sentences, strict=True):
        _, shape, color, both = thing.phrases
        for kind, phrase in (('colour', color), ('shape', shape), ('attribute', both)):
            if _named(things, phrase) == [thing]:
                own.append((kind, f'the {phrase}'))
        for phrase in thing.phrases:
            group = _named(things, phrase)
            if len(group) > 1 and phrase in (NOUN, shape):
                own += [('size', f'the {word} {phrase}') for word in _sizes(thing, group)]
            if len(group) > 1:
                own += [
                    ('position', f'the {phrase} {side}')
                    for side in _sides(thing, group, width, height)
                ]
        anchor = _neighbour(thing, things, min(width, height))
        if anchor:
            # the shortest name that the anchor does not share keeps the sentence of use
            phrase = shape if shape != anchor.shape else both
            group = _named(things, phrase)
            if anchor not in group and _nearest(thing, group, anchor):
                own.append(('relation', f'the {phrase} next to the {anchor.phrases[-1]}'))
    return sentences


def _named(things: list[Thing], phrase: str) -> list[Thing]:
    return [thing for thing in things if thing.fits(phrase)]


def _sizes(thing: Thing, group: list[Thing]) -> list[str]:
    """Which of 'largest' and 'smallest' clearly holds."""
    areas = [other.area for other in group if other is not thing]
    holds = dict(
        largest=thing.area >= SIZE_RATIO * max(areas),
        smallest=SIZE_RATIO * thing.area <= min(areas),
    )
    return [word for word, true in holds.items() if true]


def _sides(thing: Thing, group: list[Thing], width: int, height: int) -> list[str]:
    """On which sides of the others it clearly is."""
    sides = []
    for side, (axis, sign) in SIDES.items():
        gaps = [sign * (other.center[axis] - thing.center[axis]) for other in group]
        gaps = sorted(gaps)
        if gaps[0] == 0 and gaps[1] >= SIDE_MARGIN * (width, height)[axis]:
            sides.append(side)
    return sides


def _neighbour(thing: Thing, things: list[Thing], short: int) -> Thing | None:
    """The nearest other thing, if it is near and has a colour and shape of its own."""
    others = sorted((o for o in things if o is not thing), key=thing.distance)
    if not others or thing.distance(others[0]) > NEXT_TO * short:
        return None
    return others[0] if _named(things, others[0].phrases[-1]) == [others[0]] else None


def _nearest(thing: Thing, group: list[Thing], anchor: Thing) -> bool:
    """Whether of a group it is clearly the nearest to the anchor."""
    return all(
        other is thing or anchor.distance(other) >= NEXT_RATIO * anchor.distance(thing)
        for other in group
    )
