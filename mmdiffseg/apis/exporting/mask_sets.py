"""DFormer as graphs: a step takes the noisy masks where its decoder reads them."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.detectors import Mask2Former
from mmdet.models.seg_heads import MaskFormerFusionHead
from torch import Tensor, nn

from mmdiffseg.apis.exporting.graphs import Graph, Packing
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.models.dformer import DFormerHead, DiffusionMask2Former, UniversalFusionHead
from mmdiffseg.models.dformer.mask_grid import Axis, GridDraws, MaskGrid

#: what a step is told of the grid, see `MaskGrid.inputs` of the runtime
AXES = tuple(f'{axis}_{part}' for axis in ('rows', 'columns') for part in Axis._fields[1:])


class GivenGrid(MaskGrid):
    """A grid whose places and weights come into the graph.

    Args:
        places: Tensors by the order of `AXES`.
    """

    def __init__(self, places: Sequence[Tensor]) -> None:
        self.rows, self.columns = Axis(None, *places[:3]), Axis(None, *places[3:])
        self.fine = tuple(axis.fine.shape[1] for axis in (self.rows, self.columns))

    def repeat(self, times: int) -> 'GivenGrid':
        """Itself: it is given for all rows."""
        return self


class MaskSetGraph(Graph):
    """One call of DFormer's decoder.

    From z_t on the grid (rows, Q, n, m), t (1,), the grid (rows, ...) and the context to
    ``cls_scores`` (rows, Q, K + 1), ``masks`` (rows, Q, h, w), and ``x0`` on the grid. Masks stay
    logits: onnxruntime's sigmoid ends at 1e-8, and where no mask is on, smaller numbers decide.

    Args:
        head: The head.
        packing: How its context is packed.
        z_t: An example.
        t: An example.
        grid: An example.
    """

    def __init__(
        self,
        head: DFormerHead,
        packing: Packing,
        z_t: Tensor,
        t: Tensor,
        grid: MaskGrid,
    ) -> None:
        super().__init__()
        self.head = head
        self.packing = packing
        axes = dict(rows=grid.rows._asdict(), columns=grid.columns._asdict())
        places = [axes[axis][part] for axis, part in (name.split('_') for name in AXES)]
        self.inputs = ('z_t', 't', *AXES, *packing.names)
        self.example = (z_t, t, *places, *packing.tensors)
        self.outputs = tuple(self.named(self.example))

    def named(self, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
        """The outputs by name."""
        z_t, t, *given = tensors
        places, tensors = given[: len(AXES)], given[len(AXES) :]
        context = self.packing.put(tensors, ())._replace(grid=GivenGrid(places))
        output = self.head.denoise(z_t, t, context.repeat(z_t.shape[0]))
        x0 = context.grid.spread(self.head.label_encoder.encode_output(output.masks))
        return dict(cls_scores=output.cls_scores, masks=output.masks, x0=x0)

    def forward(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """See :class:`Graph`."""
        return tuple(self.named(tensors).values())


def mask_set_graph(
    head: DFormerHead,
    context: Any,
    shape: tuple[int, int, int],
    rows: int,
    generator: torch.Generator,
    readout: dict,
) -> tuple[MaskSetGraph, dict]:
    """The graph of a step, and how a runtime goes on from it."""
    t = torch.tensor([head.diffusion_sampler.time_pairs(head.steps)[-1][0]])
    grid = context.grid.repeat(rows)
    draws = GridDraws(Draws(generator=generator), grid)
    z_t = draws.normal('start', (rows, shape[0], *grid.shape))
    packing = Packing(context)
    graph = MaskSetGraph(head, packing, z_t, t, grid)
    fine, coarse = (
        next(name for name, each in zip(packing.names, packing.tensors, strict=True) if each is x)
        for x in (context.pixel_features, context.level_features[0])
    )
    grid = dict(fine=fine, coarse=coarse, stride=head.strides[0], noise_size=head.noise_size)
    return graph, dict(
        kind='mask_sets',
        integer_times=not t.is_floating_point(),
        stochastic=head.diffusion_sampler.stochastic,
        grid=grid,
    )


def describe_objects(model: nn.Module, head: DFormerHead) -> dict:
    """How the objects of mmdet's detector are read off the chains.

    Raises:
        TypeError: Its masks come together by rules of their own.
    """
    fusion = model.panoptic_fusion_head
    known = dict(detector=(model, (Mask2Former, DiffusionMask2Former)))
    known['fusion head'] = (fusion, (MaskFormerFusionHead, UniversalFusionHead))
    for name, (part, kinds) in known.items():
        if type(part) not in kinds:
            raise TypeError(
                f'{type(part).__name__} cannot be exported: the {name} of what can is a '
                f'{" or a ".join(kind.__name__ for kind in kinds)}'
            )
    cfg = fusion.test_cfg
    return dict(
        kind='objects',
        classes=fusion.num_classes,
        things=fusion.num_things_classes,
        every_step=head.ensemble_steps,
        panoptic_on=cfg.get('panoptic_on', True),
        instance_on=cfg.get('instance_on', False),
        semantic_on=cfg.get('semantic_on', False),
        object_mask_thr=cfg.get('object_mask_thr', 0.8),
        iou_thr=cfg.get('iou_thr', 0.8),
        filter_low_score=cfg.get('filter_low_score', False),
        max_per_image=cfg.get('max_per_image', 100),
    )
