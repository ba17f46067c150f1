"""Episodes that a file lists."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmdiffseg.datasets.files import read_parts
from mmdiffseg.datasets.in_context.concepts import Concept, image_name
from mmdiffseg.datasets.in_context.in_context import InContextDataset
from mmdiffseg.registry import DATASETS


class EpisodeListDataset(InContextDataset):
    """Episodes that a file lists, over instances in COCO's format.

    Args:
        episode_file: The list, below the source's ``data_root`` unless it is absolute.
        only: Keep the listed episodes with these values, e.g. ``dict(held_out=True)``.
        **kwargs: Arguments of :class:`InContextDataset`.
    """

    def __init__(
        self, *, episode_file: str, only: Mapping[str, Any] | None = None, **kwargs
    ) -> None:
        self.episode_file = episode_file
        self.only = dict(only or {})
        super().__init__(**kwargs)

    def _read(self, part: str) -> dict:
        path = Path(self.source.data_root or '') / self.episode_file
        if not path.is_file():
            raise FileNotFoundError(f'no list of episodes {path}: set episode_file')
        names = (
            image_name(self.source.get_data_info(i), self.source) for i in range(len(self.source))
        )
        self.positions = {name: position for position, name in enumerate(names)}
        return read_parts(path, part)

    def _position(self, file_name: str) -> int:
        name = str(Path(file_name).with_suffix(''))
        if name not in self.positions:
            raise ValueError(
                f'{self.episode_file} names the picture {file_name!r}, which '
                f'{self.source.data_prefix["img_path"]} lacks: the list belongs to other data'
            )
        return self.positions[name]

    def _kept(self, listed: list[dict]) -> list[dict]:
        kept = [e for e in listed if all(e[key] == value for key, value in self.only.items())]
        if not kept:
            raise ValueError(f'{self.episode_file} lists no episode with {self.only}')
        return kept

    def _check_shots(self, supports: list) -> list:
        if len(supports) < self.shots:
            raise ValueError(
                f'{self.episode_file} lists {len(supports)} prompts an episode, fewer than shots='
                f'{self.shots}'
            )
        return supports[: self.shots]


@DATASETS.register_module()
class CocoEpisodeDataset(EpisodeListDataset):
    """Test episodes ``{episodes: [{category_id, name, fold, support, query}]}`` over COCO.

    ``support`` is one picture or a list of them. The mask of a picture is the union of the
    category's instances.
    """

    def load_concepts(self) -> list[Concept]:
        """Take the categories of the listed episodes."""
        self.listed = self._kept(self._read('episodes')['episodes'])
        images = np.arange(len(self.source))
        class_ids = sorted({self.source.class_ids[e['category_id']] for e in self.listed})
        classes = self.source.metainfo['classes']
        return [Concept(class_id=c, name=classes[c], images=images) for c in class_ids]

    def _queries(self) -> list[dict]:
        raise ValueError('CocoEpisodeDataset lists episodes to test on: set test_mode=True')

    def _test_entries(self) -> list[dict]:
        numbers = {concept.class_id: number for number, concept in enumerate(self.concepts)}
        entries = []
        for episode in self.listed:
            support = episode['support']
            supports = self._check_shots([support] if isinstance(support, str) else support)
            entries.append(
                dict(
                    query=self._position(episode['query']),
                    concepts=[numbers[self.source.class_ids[episode['category_id']]]],
                    prompts=[self._position(name) for name in supports],
                    fold=episode['fold'],
                )
            )
        return entries


@DATASETS.register_module()
class ShapesInContextDataset(EpisodeListDataset):
    """Episodes of Shapes, whose concepts are pairs of shape and colour ("red circle").

    ``fewshot/{train,val}.json`` lists the instances of each concept by picture. Concepts that are
    held out are never trained on. Tests run the episodes listed in the file.
    """

    def load_concepts(self) -> list[Concept]:
        """Read the concepts, without those that training must not see."""
        content = self._read('concepts')
        self.listed = content.get('episodes')
        self.names = {c['class_id']: name for name, c in content['concepts'].items()}
        concepts = []
        for name, concept in content['concepts'].items():
            if concept['held_out'] and not self.test_mode:
                continue
            instances = {self._position(image): ids for image, ids in concept['images'].items()}
            concepts.append(
                Concept(
                    class_id=concept['class_id'],
                    name=name,
                    images=np.array(sorted(instances), int),
                    instances=instances,
                )
            )
        return concepts

    def concept_table(self) -> dict[int, str]:
        """Names of the concepts that are trained on or tested, by id."""
        if not self.test_mode or self.listed is None:
            return {concept.class_id: concept.name for concept in self.concepts}
        class_ids = sorted({episode['class_id'] for episode in self._kept(self.listed)})
        return {class_id: self.names[class_id] for class_id in class_ids}

    def _test_entries(self) -> list[dict]:
        if self.listed is None:
            raise ValueError(f'{self.episode_file} lists no episodes to test on')
        numbers = {concept.class_id: number for number, concept in enumerate(self.concepts)}
        return [
            dict(
                query=self._position(episode['query']),
                concepts=[numbers[episode['class_id']]],
                prompts=[self._position(n) for n in self._check_shots(episode['supports'])],
            )
            for episode in self._kept(self.listed)
        ]
