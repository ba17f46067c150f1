"""The Shapes world: sampling a scene of shapes at known depths and painting it.

A scene is plain data, drawn from one random generator; painting turns it into a picture and its
exact ground truth. Nothing here touches the disk: `shapes.py` beside this file writes the data set.
"""

from dataclasses import dataclass

import cv2
import numpy as np

# Hues of surfaces. They say nothing about the class, so that only the outline does.
COLORS = dict(
    red=(0.85, 0.23, 0.22),
    orange=(0.93, 0.54, 0.18),
    yellow=(0.93, 0.80, 0.27),
    green=(0.33, 0.66, 0.33),
    teal=(0.18, 0.63, 0.64),
    blue=(0.23, 0.44, 0.80),
    purple=(0.53, 0.34, 0.72),
    pink=(0.90, 0.50, 0.64),
)
TEXTURES = ('plain', 'stripes', 'checks', 'dots', 'clouds')

# Depths in millimetres: shapes are flat cards facing the viewer in front of a sloping wall.
NEAREST, FARTHEST = 1000, 5000
WALL_TOP, WALL_BOTTOM = 10000, 6000
DEPTH_STEP = 50

MAP_CELL = 2  # pixels


def _grid(window: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates y (h, 1) and x (1, w) of a window of the picture."""
    return tuple(axis.astype(np.float32) for axis in np.ogrid[window])


def _circle(x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    return np.hypot(x, y) - radius


def _ellipse(x: np.ndarray, y: np.ndarray, long: float, short: float) -> np.ndarray:
    # First-order distance, exact on the outline; the offset keeps the centre finite.
    value = np.hypot(x / long, y / short)
    slope = np.hypot(x / long**2, y / short**2) + 1e-6
    return value * (value - 1) / slope


def _star(x: np.ndarray, y: np.ndarray, points: int, tip: float, notch: float) -> np.ndarray:
    """A star of `points` tips, the first one up; `notch` is the radius between two tips."""
    half = np.pi / points
    # By symmetry one edge is enough: it runs from the tip, straight up, to the notch.
    angle = np.abs((np.arctan2(x, -y) + half) % (2 * half) - half)
    radius = np.hypot(x, y)
    edge_x, edge_y = notch * np.cos(half) - tip, notch * np.sin(half)
    to_tip_x, to_tip_y = radius * np.cos(angle) - tip, radius * np.sin(angle)
    return (to_tip_x * edge_y - to_tip_y * edge_x) / np.hypot(edge_x, edge_y)


def _ring(x: np.ndarray, y: np.ndarray, outer: float, inner: float) -> np.ndarray:
    radius = np.hypot(x, y)
    return np.maximum(radius - outer, inner - radius)


# Signed distance to the outline (negative inside) of a shape of about unit radius at the origin.
# The order is that of the class ids, which start at 1: 0 is the background.
OUTLINES = dict(
    circle=lambda x, y: _circle(x, y, 0.9),
    ellipse=lambda x, y: _ellipse(x, y, 1.2, 0.65),
    triangle=lambda x, y: _star(x, y, 3, 1.25, 0.625),
    square=lambda x, y: np.maximum(np.abs(x), np.abs(y)) - 0.82,
    star=lambda x, y: _star(x, y, 5, 1.25, 0.6),
    ring=lambda x, y: _ring(x, y, 1.0, 0.5),
)
CLASSES = ('background', *OUTLINES)


@dataclass(frozen=True)
class Surface:
    """How something is coloured: a texture over two tones of one colour."""

    color: str
    tones: np.ndarray  # (2, 3), RGB in [0, 1]
    texture: str
    period: float  # pixels
    angle: float


@dataclass(frozen=True)
class Shape:
    """One flat shape of a scene; lengths in pixels, angles in radians."""

    name: str
    x: float
    y: float
    radius: float
    angle: float
    squash: float  # short over long axis of a slight foreshortening, (0, 1]
    depth: int  # millimetres
    surface: Surface

    @property
    def label(self) -> int:
        """Class id, 1 to the number of shape classes."""
        return CLASSES.index(self.name)

    def window(self, height: int, width: int, margin: float = 1.0) -> tuple[slice, slice]:
        """The part of the picture that can hold the shape and `margin` pixels around it."""
        reach = 1.45 * self.radius + margin
        top, left = max(int(self.y - reach), 0), max(int(self.x - reach), 0)
        return slice(top, min(int(self.y + reach) + 2, height)), slice(
            left, min(int(self.x + reach) + 2, width)
        )

    def distance(self, window: tuple[slice, slice], shift: tuple[float, float] = (0, 0)):
        """Signed distance in pixels from the outline, negative inside, (h, w) over the window."""
        y, x = _grid(window)
        x, y = x - self.x - shift[0], y - self.y - shift[1]
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        u = (cos * x + sin * y) / self.radius
        v = (cos * y - sin * x) / (self.radius * self.squash)
        return OUTLINES[self.name](u, v) * self.radius


@dataclass(frozen=True)
class Scene:
    """Everything that is in a picture, far shapes first: shape k is hidden by shapes after it."""

    height: int
    width: int
    wall: Surface
    fog: np.ndarray  # (3,), RGB in [0, 1]: far things fade towards it
    light: np.ndarray  # (2,), unit vector towards the light in the picture plane
    shapes: tuple[Shape, ...]

    def map_masks(self) -> np.ndarray:
        """Where shapes of each class are, hidden or not: (classes, h, w) uint8, 0 or 1.

        A cell is `MAP_CELL` pixels wide and takes what is at its centre.
        """
        first = (MAP_CELL - 1) / 2
        centres = np.s_[first : self.height : MAP_CELL, first : self.width : MAP_CELL]
        y, x = _grid(centres)
        masks = np.zeros((len(OUTLINES), y.size, x.size), np.uint8)
        for shape in self.shapes:
            masks[shape.label - 1] |= shape.distance(centres) < 0
        return masks


@dataclass(frozen=True)
class Painting:
    """A painted scene."""

    image: np.ndarray  # (H, W, 3) uint8, RGB
    instances: np.ndarray  # (H, W) uint8, 0 is the wall and k the visible part of shapes[k - 1]
    depth: np.ndarray  # (H, W) uint16, millimetres

    def labels(self, scene: Scene) -> np.ndarray:
        """Class ids, (H, W) uint8."""
        return np.array([0, *(shape.label for shape in scene.shapes)], np.uint8)[self.instances]


def sample_scene(
    rng: np.random.Generator,
    height: int,
    width: int,
    min_shapes: int,
    max_shapes: int,
    *,
    camouflage: float = 0.1,
    distractors: float = 0.0,
) -> Scene:
    """Draw a scene of `min_shapes` to `max_shapes` shapes.

    In a crowded picture fewer shapes may fit: each is kept visible by 60% at least. A share
    `camouflage` of the shapes wears the wall's colours: only outline, light and shadow show them. A
    share `distractors` of the scenes is made sure to have two shapes that differ in outline but not
    in colour.
    """
    short = min(height, width)
    rivalry = distractors > 0 and rng.random() < distractors
    wall = _sample_surface(rng, short, saturation=rng.uniform(0.1, 0.5))
    count = rng.integers(min_shapes, max_shapes + 1)
    depths = rng.choice(np.arange(NEAREST, FARTHEST, DEPTH_STEP), size=count, replace=False)
    covered = np.zeros((height, width), bool)
    shapes = []
    for depth in sorted(depths.tolist()):  # near ones first: later ones must stay visible
        for _ in range(10):
            rival = shapes[0] if rivalry and len(shapes) == 1 else None
            shape = _sample_shape(rng, height, width, depth, wall, camouflage, rival)
            window = shape.window(height, width)
            inside = shape.distance(window) < 0
            if (inside & ~covered[window]).sum() >= 0.6 * inside.sum() > 0:
                covered[window] |= inside
                shapes.append(shape)
                break
    direction = rng.uniform(0, 2 * np.pi)
    return Scene(
        height=height,
        width=width,
        wall=wall,
        fog=(rng.uniform(0.55, 0.9) + rng.uniform(-0.06, 0.06, 3)).astype(np.float32),
        light=np.array([np.cos(direction), np.sin(direction)], np.float32),
        shapes=tuple(reversed(shapes)),
    )


def _sample_shape(
    rng: np.random.Generator,
    height: int,
    width: int,
    depth: int,
    wall: Surface,
    camouflage: float,
    rival: Shape | None,
) -> Shape:
    """Draw one shape, of the colour but not the outline of its `rival` where it has one."""
    short = min(height, width)
    like = wall if rng.random() < camouflage else None
    surface = _sample_surface(
        rng, short, saturation=1.0, like=like, color=rival and rival.surface.color
    )
    return Shape(
        name=str(rng.choice([name for name in OUTLINES if not rival or name != rival.name])),
        x=rng.uniform(0.08, 0.92) * width,
        y=rng.uniform(0.08, 0.92) * height,
        radius=short * rng.uniform(0.14, 0.22) * (2500 / depth) ** 0.5,
        angle=rng.uniform(-0.3, 0.3),
        squash=rng.uniform(0.94, 1.0),
        depth=depth,
        surface=surface,
    )


def _sample_surface(
    rng: np.random.Generator,
    short: int,
    saturation: float,
    like: Surface | None = None,
    color: str | None = None,
) -> Surface:
    """Draw a surface: in the tones of another one, in a given colour, or in any colour."""
    if like:
        color, base = like.color, like.tones[0]
    else:
        color = color or str(rng.choice(list(COLORS)))
        base = np.array(COLORS[color])
    tone = base.mean() + saturation * (base - base.mean()) + rng.normal(0, 0.04, 3)
    other = tone * rng.uniform(0.7, 0.95) + rng.uniform(0, 0.1)
    return Surface(
        color=color,
        tones=np.stack([tone, other]).astype(np.float32),
        texture=like.texture if like else str(rng.choice(TEXTURES)),
        period=short * rng.uniform(0.05, 0.14),
        angle=rng.uniform(0, np.pi),
    )


def paint(scene: Scene, rng: np.random.Generator) -> Painting:
    """Paint a scene from back to front, then light, blur and grain the whole picture."""
    height, width = scene.height, scene.width
    short = min(height, width)
    whole = np.s_[:height, :width]
    slope = np.linspace(WALL_TOP, WALL_BOTTOM, height)
    depth = np.repeat(slope[:, None], width, axis=1).round().astype(np.uint16)
    instances = np.zeros((height, width), np.uint8)
    image = _hazed(_textured(scene.wall, whole, rng), depth, scene)

    for index, shape in enumerate(scene.shapes, start=1):
        throw = 0.03 * short * (1 - shape.depth / WALL_TOP)
        window = shape.window(height, width, margin=3 * throw)
        shade = shape.distance(window, shift=tuple(-1.5 * throw * scene.light))
        image[window] *= 1 - 0.4 * _coverage(shade, 2 * throw)[..., None]

        distance = shape.distance(window)
        surface = _textured(shape.surface, window, rng) * _relief(distance, shape, scene)
        inside = distance < 0
        depth[window][inside] = shape.depth
        instances[window][inside] = index
        surface = _hazed(surface, np.array(shape.depth), scene)
        alpha = _coverage(distance, 1.0)[..., None]
        image[window] += alpha * (surface - image[window])

    y, x = _grid(whole)
    slant = scene.light[0] * (2 * x / width - 1) + scene.light[1] * (2 * y / height - 1)
    image *= (1 + 0.15 * slant)[..., None]
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.2, 0.6) * max(short / 128, 0.5))
    image += rng.uniform(0.005, 0.025) * rng.standard_normal(image.shape, np.float32)
    return Painting(
        image=(255 * image).clip(0, 255).round().astype(np.uint8),
        instances=instances,
        depth=depth,
    )


def _coverage(distance: np.ndarray, softness: float) -> np.ndarray:
    """Share of each pixel inside an outline whose edge is `softness` pixels wide."""
    return np.clip(0.5 - distance / softness, 0, 1)


def _hazed(color: np.ndarray, depth: np.ndarray, scene: Scene) -> np.ndarray:
    """Fade (h, w, 3) colours towards the fog, by up to 45% at the far end of the wall."""
    haze = 0.45 * (depth / np.float32(WALL_TOP))[..., None]
    return color + haze * (scene.fog - color)


def _relief(distance: np.ndarray, shape: Shape, scene: Scene) -> np.ndarray:
    """Brightness (h, w, 1) of a bevelled edge under the scene's light."""
    edge = np.clip(1 + distance / (0.18 * shape.radius), 0, 1)
    along_y, along_x = np.gradient(distance)
    facing = along_x * scene.light[0] + along_y * scene.light[1]
    return (1 + 0.3 * edge * facing)[..., None]


def _textured(
    surface: Surface, window: tuple[slice, slice], rng: np.random.Generator
) -> np.ndarray:
    """The surface's colours over a window of the picture, (h, w, 3)."""
    y, x = _grid(window)
    cos, sin = np.cos(surface.angle), np.sin(surface.angle)
    u = (cos * x + sin * y) / surface.period
    v = (cos * y - sin * x) / surface.period
    if surface.texture == 'stripes':
        mix = 0.5 + 2 * np.sin(np.pi * u)
    elif surface.texture == 'checks':
        mix = 0.5 + 4 * np.sin(np.pi * u) * np.sin(np.pi * v)
    elif surface.texture == 'dots':
        mix = 4 * (0.36 - np.hypot(u % 1 - 0.5, v % 1 - 0.5)) + 0.5
    elif surface.texture == 'clouds':
        height, width = u.shape
        cells = (int(width / surface.period) + 3, int(height / surface.period) + 3)
        coarse = rng.random(cells[::-1], dtype=np.float32)
        mix = 2 * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) - 0.5
    else:
        mix = np.zeros_like(u)
    mix = np.clip(mix, 0, 1)[..., None]
    return surface.tones[0] + mix * (surface.tones[1] - surface.tones[0])
