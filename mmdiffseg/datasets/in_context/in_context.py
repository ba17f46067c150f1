"""Episodes drawn from a data set of labelled pictures."""

import random
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, Literal, get_args

from mmcv.transforms import Compose
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS as MMENGINE_DATASETS

from mmdiffseg.datasets.damaged_files import blame_damaged, paths_of
from mmdiffseg.datasets.in_context.concepts import (
    KINDS,
    Concept,
    Kind,
    build_concepts,
    image_name,
    list_concepts,
    read_lists,
)
from mmdiffseg.datasets.in_context.folds import fold_classes
from mmdiffseg.datasets.seeded import mix_seed
from mmdiffseg.diffusion.draws import check_seed
from mmdiffseg.registry import DATASETS, TRANSFORMS

Episodes = Literal['images', 'pairs', 'classes', 'first_frame']


@DATASETS.register_module()
class InContextDataset(BaseDataset):
    """Episodes: find in a query picture what the masks of the prompt pictures show.

    In training every picture is a query. Its concept and prompts are drawn anew each time, and
    query and prompts are augmented independently. An episode is replaced by that of another picture
    if a crop cuts the object out of the prompts or if the concept has too few pictures.

    In testing an episode depends only on ``seed`` and its number, not on the process that draws it.

    Args:
        dataset: The source of pictures and labels: a dataset of mmseg, or ``InstanceMaskDataset``.
        pipeline: Loads a query and its labels and selects the concept; ``pack`` does the packing.
        prompt_pipeline: The same for a prompt; ``pipeline`` by default.
        shots: Number of prompts per query.
        concept: ``'class'``; ``'folder'``, the one object of a folder (a video of DAVIS-16, a class
            of FSS-1000); ``'folder_class'``, a class within a folder (a video of VSPW).
        lists: Pictures of each concept: a JSON file or a released ``meta_*.npy``, below the
            source's ``data_root``. None reads the labels of all pictures at the start.
        background: Class that is no concept; None if every class is a concept.
        fold: One side of a fold, as arguments of :func:`fold_classes`: only its classes are
            concepts, everything else is background.
        episodes: What is tested. ``'images'``: every picture once, with one of its concepts;
            ``'pairs'``: every picture with each; ``'classes'``: ``num_episodes`` times a class,
            then one of its pictures; ``'first_frame'``: every picture of a folder (the frames of a
            video) after the first, prompted by the first, with each concept of that.
        num_episodes: Number of test episodes: the first ones, repeated from the start if there
            are fewer.
        seed: Seed of the test episodes.
        legacy_rng: Draw tests from Python's global generator, as LDIS' released code does; they
            then depend on workers and processes.
        pack: Config of the transform that packs an episode.
        test_mode: Whether to yield test episodes.
        max_refetch: Number of draws before giving up on an episode.

    Example:
        >>> dataset = InContextDataset(
        ...     dataset=dict(type='mmdiffseg.SegFolderDataset', data_root='data/mine', ...),
        ...     pipeline=[...], shots=2, episodes='pairs', test_mode=True)
        >>> episode = dataset[0]  # a query and two prompts of one concept
    """

    METAINFO = dict(classes=('background', 'concept'), palette=[[47, 50, 60], [243, 156, 18]])

    def __init__(
        self,
        *,
        dataset: dict,
        pipeline: Sequence[dict],
        prompt_pipeline: Sequence[dict] | None = None,
        shots: int = 1,
        concept: Kind = 'class',
        lists: str | None = None,
        background: int | None = 0,
        fold: dict | None = None,
        episodes: Episodes = 'images',
        num_episodes: int | None = None,
        seed: int = 0,
        legacy_rng: bool = False,
        pack: dict = dict(type='mmdiffseg.PackInContextInputs'),
        test_mode: bool = False,
        max_refetch: int = 1000,
        lazy_init: bool = False,
    ) -> None:
        if concept not in KINDS:
            raise ValueError(f'concept={concept!r} must be one of {KINDS}')
        if episodes not in get_args(Episodes):
            raise ValueError(f'episodes={episodes!r} must be one of {get_args(Episodes)}')
        if min(shots, max_refetch, 1 if num_episodes is None else num_episodes) < 1:
            raise ValueError(
                f'shots={shots}, max_refetch={max_refetch} and num_episodes={num_episodes} must '
                'be at least 1'
            )
        check_seed(seed)
        if episodes == 'classes' and num_episodes is None:
            raise ValueError("episodes='classes' has no end: set num_episodes, e.g. to 1000")
        self.source_cfg = dataset
        self.prompt_pipeline = Compose(pipeline if prompt_pipeline is None else prompt_pipeline)
        self.shots = shots
        self.concept = concept
        self.lists = lists
        self.background = background
        self.fold = fold
        self.episodes = episodes
        self.num_episodes = num_episodes
        self.seed = seed
        self.legacy_rng = legacy_rng
        self.pack = TRANSFORMS.build(pack)
        super().__init__(
            pipeline=pipeline, test_mode=test_mode, max_refetch=max_refetch, lazy_init=lazy_init
        )

    def load_concepts(self) -> list[Concept]:
        """Read which pictures show which concept."""
        if self.lists is None:
            lists = list_concepts(self.source, self.concept, self.background)
        else:
            lists = read_lists(str(Path(self.source.data_root or '') / self.lists))
        classes = None if self.fold is None else fold_classes(**self.fold)
        return build_concepts(lists, self.source, self.concept, classes=classes)

    def concept_table(self) -> dict[int, str]:
        """Names of the classes that metrics average over, by id."""
        if self.fold is not None:
            return {c: self.source.metainfo['classes'][c] for c in fold_classes(**self.fold)}
        if self.concept == 'folder':
            return {concept.class_id: concept.name for concept in self.concepts}
        names = enumerate(self.source.metainfo['classes'])
        return {c: name for c, name in names if c != self.background}

    def load_data_list(self) -> list[dict]:
        """List what is drawn from: each entry may fix query, concepts and prompts.

        Raises:
            ValueError: There is no concept, or one to be tested has too few pictures.
        """
        self.source = MMENGINE_DATASETS.build(self.source_cfg)
        self.source.full_init()
        self.concepts = self.load_concepts()
        self._metainfo['concepts'] = self.concept_table()
        if not self.concepts:
            raise ValueError(
                f'no label of {self.source.data_prefix} shows a concept: check concept='
                f'{self.concept!r}, fold={self.fold} and the labels'
            )
        if not self.test_mode:
            return self._queries()
        entries = self._test_entries()
        if self.num_episodes is not None:
            entries = [entries[i % len(entries)] for i in range(self.num_episodes)]
        return entries

    def prepare_data(self, idx: int) -> dict | None:
        """Draw and load one episode.

        Returns:
            ``inputs``: ``query`` (3, h, w), ``prompts``, a list of (3, h_i, w_i), and
            ``prompt_masks``, a list of (h_i, w_i), all uint8; ``data_samples``. None if another
            should be drawn.

        Raises:
            ValueError: No prompt of a test episode shows its concept.
        """
        entry = self.get_data_info(idx)
        per_index = self.test_mode and not self.legacy_rng
        rng = random.Random(mix_seed(self.seed, idx)) if per_index else random
        concept = self.concepts[rng.choice(entry['concepts'])]
        query = entry['query'] if 'query' in entry else int(rng.choice(concept.images))
        if not self.test_mode and len(concept.images) <= self.shots:
            return None
        prompts = self._draw_prompts(entry, concept, query, rng)
        if prompts is None:
            return None
        results = self._load(self.pipeline, query, concept)
        results.update(
            prompts=prompts,
            fold=entry.get('fold', self._novel_fold()),
            seed=self.seed if per_index else None,
            **{key: entry[key] for key in ('video', 'frame', 'num_frames') if key in entry},
        )
        names = [self._stem(query), *(self._stem(p['sample_idx']) for p in prompts)]
        results['sample_id'] = '_'.join([names[0], str(concept.class_id), *names[1:]])
        return self.pack(results)

    def _draw_prompts(
        self, entry: dict, concept: Concept, query: int, rng: Any
    ) -> list[dict] | None:
        if 'prompts' in entry:
            return [self._load(self.prompt_pipeline, p, concept) for p in entry['prompts']]
        for _ in range(self.max_refetch if self.test_mode else 1):
            # One more than needed: whether the query is among them or the last is left out, every
            # other picture is as likely, without a copy of a list that may have 45000 entries.
            drawn = rng.sample(range(len(concept.images)), self.shots + 1)
            chosen = [p for p in map(int, concept.images[drawn]) if p != query][: self.shots]
            prompts = [self._load(self.prompt_pipeline, p, concept) for p in chosen]
            if all(prompt['gt_seg_map'].any() for prompt in prompts):
                return prompts
        if not self.test_mode:
            return None
        raise ValueError(
            f'{self.max_refetch} draws of prompts for {concept.name!r} were empty: its objects '
            'vanish when resized; take the smallest out of the lists, or raise the size'
        )

    def _load(self, pipeline: Compose, position: int, concept: Concept) -> dict:
        sample = self.view(position, concept)
        paths = paths_of(sample)
        try:
            return pipeline(sample)
        except Exception as error:
            blame_damaged(error, paths, self.source)
            raise

    def view(self, position: int, concept: Concept) -> dict:
        """What the pipelines start from: a picture of the source, and the concept to show in it."""
        sample = self.source.get_data_info(position)
        sample.update(class_id=concept.class_id, class_name=concept.name)
        if concept.instances is not None:
            sample['instance_ids'] = concept.instances[position]
        return sample

    def _queries(self) -> list[dict]:
        concepts = {}
        for number, concept in enumerate(self.concepts):
            for position in concept.images:
                concepts.setdefault(int(position), []).append(number)
        return [dict(query=query, concepts=concepts[query]) for query in sorted(concepts)]

    def _test_entries(self) -> list[dict]:
        if self.episodes == 'first_frame':
            return self._later_frames()
        for concept in self.concepts:
            if len(concept.images) <= self.shots:
                raise ValueError(
                    f'{concept.name!r} has {len(concept.images)} pictures, an episode of '
                    f'{self.shots} prompts needs {self.shots + 1}: lower shots, or take it out of '
                    'the lists'
                )
        if self.episodes == 'classes':
            return [dict(concepts=range(len(self.concepts)))]
        queries = self._queries()
        if self.episodes == 'pairs':
            return [{**entry, 'concepts': [c]} for entry in queries for c in entry['concepts']]
        return queries

    def _later_frames(self) -> list[dict]:
        videos = {}
        for position in range(len(self.source)):
            name = image_name(self.source.get_data_info(position), self.source)
            videos.setdefault(str(PurePath(name).parent), []).append(position)
        concepts = {}
        for number, concept in enumerate(self.concepts):
            if videos[concept.folder][0] in concept.images:
                concepts.setdefault(concept.folder, []).append(number)
        return [
            dict(
                query=position,
                concepts=[number],
                prompts=[videos[video][0]],
                video=video,
                frame=frame,
                num_frames=len(videos[video]),
            )
            for video in sorted(concepts)
            for frame, position in enumerate(videos[video][1:], 1)
            for number in concepts[video]
        ]

    def _novel_fold(self) -> int | None:
        return self.fold['number'] if self.fold and self.fold['part'] == 'novel' else None

    def _stem(self, position: int) -> str:
        name = image_name(self.source.get_data_info(position), self.source)
        return name.replace('/', '-')
