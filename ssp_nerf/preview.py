"""A held-out frame during training: truth, render, parsing and displacement side by side."""

from pathlib import Path

import numpy as np
import torch

from ssp_nerf.config import TrainingConfig
from ssp_nerf.dataset import PortraitDataset
from ssp_nerf.files import whole_output
from ssp_nerf.frame_renderer import ExactRenderer
from ssp_nerf.heat import heat_map
from ssp_nerf.model import SSPNeRF
from ssp_nerf.parsing_map import colourise

LARGEST_DISPLACEMENT = 0.5  # decimetres; larger ones share the brightest colour


def save_preview(
    path: Path, dataset: PortraitDataset, model: SSPNeRF, training: TrainingConfig
) -> None:
    """Write a PNG of the first held-out frame."""
    from PIL import Image

    frame = torch.nonzero(dataset.held_out).squeeze(1)[:1]
    image, _ = dataset.images(frame)
    renderer = ExactRenderer(
        model, dataset, dataset.audio, arithmetic=training.precision, kernels=training.kernels
    )
    drawn = renderer.draw(int(frame), int(frame))
    truth = image.view(dataset.height, dataset.width, 3).cpu().numpy()
    heat = heat_map(drawn.displacement.norm(dim=-1).cpu().numpy(), LARGEST_DISPLACEMENT)
    panels = [truth, drawn.picture(), colourise(drawn.parsing.cpu().numpy()), heat]
    with whole_output(path) as partial:
        Image.fromarray(np.concatenate(panels, axis=1)).save(partial)
