"""Our sparse layers against dense convolution and against spconv: values and gradients."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ssp_nerf.sparse import (
    SparseConvolution,
    strided_neighbours,
    strided_sites,
    submanifold_neighbours,
)
from ssp_nerf.structured_codes import StructuredCodes

SHAPE = (9, 12, 7)
CHANNELS, OUTPUTS = 3, 5


@pytest.fixture
def sites() -> np.ndarray:
    """Random voxels, the grid's corners among them."""
    generator = np.random.default_rng(0)
    cells = np.argwhere(generator.random(SHAPE) < 0.15)
    corners = np.array([[0, 0, 0], [8, 11, 6]])
    return np.unique(np.concatenate([cells, corners]), axis=0)


@pytest.fixture
def features(sites) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(len(sites), CHANNELS, generator=generator).requires_grad_()


def layer(kind: str, sites: np.ndarray) -> tuple[SparseConvolution, np.ndarray]:
    torch.manual_seed(1)
    if kind == "submanifold":
        outputs, neighbours = sites, submanifold_neighbours(sites, SHAPE)
    else:
        outputs, _ = strided_sites(sites, SHAPE)
        neighbours = strided_neighbours(outputs, sites, SHAPE)
    return SparseConvolution(CHANNELS, OUTPUTS, neighbours), outputs


def dense(features: torch.Tensor, sites: np.ndarray) -> torch.Tensor:
    grid = features.new_zeros(*SHAPE, features.shape[1])
    return grid.index_put(tuple(torch.from_numpy(sites.T)), features).permute(3, 0, 1, 2)[None]


@pytest.mark.parametrize(("kind", "stride"), [("submanifold", 1), ("strided", 2)])
def test_equals_dense_convolution(kind, stride, sites, features):
    convolution, outputs = layer(kind, sites)
    ours = convolution(features)
    weight = convolution.weight.permute(0, 4, 1, 2, 3)
    full = F.conv3d(dense(features, sites), weight, stride=stride, padding=1)[0]
    theirs = full.permute(1, 2, 3, 0)[tuple(torch.from_numpy(outputs.T))]
    assert torch.allclose(ours, theirs, atol=1e-5)

    upstream = torch.randn(ours.shape, generator=torch.Generator().manual_seed(2))
    variables = (features, convolution.weight)
    for a, b in zip(
        torch.autograd.grad(ours, variables, upstream, retain_graph=True),
        torch.autograd.grad(theirs, variables, upstream),
        strict=True,
    ):
        assert torch.allclose(a, b, atol=1e-4)


def test_strided_sites_are_all_that_a_dense_convolution_reaches(sites):
    outputs, shape = strided_sites(sites, SHAPE)
    reached = F.conv3d(
        dense(torch.ones(len(sites), 1), sites), torch.ones(1, 1, 3, 3, 3), stride=2, padding=1
    )[0, 0]
    assert shape == tuple(reached.shape)
    assert np.array_equal(np.argwhere(reached.numpy() > 0), outputs)


@pytest.mark.parametrize("kind", ["submanifold", "strided"])
def test_equals_spconv(kind, sites, features, monkeypatch):
    """The reference; on a CPU its backward asks for a CUDA stream that it does not use."""
    ops = pytest.importorskip("spconv.pytorch.ops", reason="spconv is not installed")
    import spconv.pytorch as spconv

    if not torch.cuda.is_available():
        monkeypatch.setattr(ops, "get_current_stream", lambda: 0)
    convolution, outputs = layer(kind, sites)
    if kind == "submanifold":
        reference = spconv.SubMConv3d(CHANNELS, OUTPUTS, 3, bias=False, algo=spconv.ConvAlgo.Native)
    else:
        reference = spconv.SparseConv3d(
            CHANNELS, OUTPUTS, 3, stride=2, padding=1, bias=False, algo=spconv.ConvAlgo.Native
        )
    with torch.no_grad():
        reference.weight.copy_(convolution.weight)
    indices = torch.from_numpy(np.insert(sites, 0, 0, axis=1)).int()
    theirs = reference(spconv.SparseConvTensor(features, indices, list(SHAPE), 1))
    their_order = theirs.indices[:, 1:].long().numpy()
    row = {tuple(site): i for i, site in enumerate(map(tuple, their_order))}
    order = torch.tensor([row[tuple(site)] for site in outputs])
    assert len(order) == len(their_order)

    ours, theirs = convolution(features), theirs.features[order]
    assert torch.allclose(ours, theirs, atol=1e-5)
    upstream = torch.randn(ours.shape, generator=torch.Generator().manual_seed(3))
    our_gradients = torch.autograd.grad(ours, (features, convolution.weight), upstream)
    their_gradients = torch.autograd.grad(theirs, (features, reference.weight), upstream)
    for a, b in zip(our_gradients, their_gradients, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


@pytest.fixture
def codes() -> StructuredCodes:
    """A bent sheet of vertices, the size of a face."""
    generator = np.random.default_rng(0)
    x, y = generator.uniform(-0.7, 0.7, (2, 300))
    vertices = np.stack([x, y, 0.4 - 0.5 * x**2], axis=1).astype(np.float32)
    torch.manual_seed(0)
    return StructuredCodes(vertices, voxel=0.06, code=4, channels=(2, 3, 4, 5))


def by_hand(codes: StructuredCodes, volume: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Trilinear interpolation, corner by corner, in float64: x (P, 3) -> (P, 14)."""
    f = []
    for level, grid in enumerate(volume, start=1):
        site = ((x - codes.grid_origin) / codes.voxel - 0.5) / 2**level
        low = site.detach().floor()
        total = torch.zeros(len(x), grid.shape[-1], dtype=torch.float64)
        for corner in itertools.product((0, 1), repeat=3):
            at = low + torch.tensor(corner)
            weight = (1 - (site - at).abs()).prod(-1)
            inside = ((at >= 0) & (at < torch.tensor(grid.shape[:3]))).all(-1)
            i, j, k = (at * inside[:, None]).long().T
            total = total + grid[i, j, k] * (weight * inside)[:, None]
        f.append(total)
    return torch.cat(f, dim=-1)


def test_lookup_is_trilinear_interpolation(codes):
    generator = torch.Generator().manual_seed(0)
    x = ((torch.rand(400, 3, generator=generator) - 0.5) * 3).requires_grad_()
    volume = codes()
    ours, theirs = codes.query(volume, x), by_hand(codes, volume, x)
    assert (ours.abs().sum(-1) > 0).float().mean() > 0.2
    assert torch.allclose(ours.double(), theirs, atol=1e-4)

    upstream = torch.randn(ours.shape, generator=generator)
    variables = (x, codes.codes)
    for a, b in zip(
        torch.autograd.grad(ours, variables, upstream, retain_graph=True),
        torch.autograd.grad(theirs, variables, upstream.double()),
        strict=True,
    ):
        assert torch.allclose(a, b, atol=2e-3 * b.abs().max())


def test_codes_sit_on_their_voxels(codes):
    """At the centre of the voxel that a vertex lies in, the finest level has that site's code."""
    volume = codes()
    occupied = volume[0].abs().sum(-1).nonzero()[:20]
    assert len(occupied) == 20
    centres = codes.grid_origin + codes.voxel * (2 * occupied + 0.5)
    found = codes.query(volume, centres)[:, :2]
    x, y, z = occupied.T
    assert torch.allclose(found, volume[0][x, y, z], atol=1e-4)


def test_codes_are_near_the_face_and_nowhere_else(codes):
    at_the_face = torch.tensor([[0.0, 0.0, 0.4], [0.5, -0.5, 0.275]])
    far_away = torch.tensor([[3.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, -30.0]])
    assert (codes.query(codes(), at_the_face).abs().sum(-1) > 0).all()
    assert (codes.query(codes(), far_away) == 0).all()


def test_vertices_that_share_a_voxel_share_their_mean_code():
    vertices = np.array([[0, 0, 0], [0.001, 0, 0], [0.5, 0.5, 0.5]], np.float32)
    codes = StructuredCodes(vertices, voxel=0.1, code=2, channels=(2, 2, 2, 2))
    assert codes.vertex_site.tolist() == [0, 0, 1]
    assert codes.site_count.squeeze().tolist() == [2, 1]
