"""How exact and how fast each Triton kernel is on this GPU, beside its twin in plain PyTorch.

    python -m benchmarks.kernels
    TRITON_INTERPRET=1 python -m benchmarks.kernels --device cpu --rays 4 --exact

For each operation: the relative error of its values and of each gradient against float64, |out -
ref| / |ref|, of the kernel and of the twin, and the milliseconds that the way there and the way
back take, at the sizes of a step of the paper's model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ssp_nerf import kernels


@dataclass
class Case:
    """One operation with random inputs.

    Attributes:
        function: of all inputs; computed by kernel or twin, as `kernels.using` says.
        inputs: its tensors, fp32 (or bool, integers).
        wanted: inputs whose gradient is asked for.
        autocast: whether it runs in bf16.
    """

    name: str
    function: Callable[..., Sequence[Tensor]]
    inputs: dict[str, Tensor]
    wanted: tuple[str, ...] = ()
    autocast: bool = False


def run(case: Case, choice: str, dtype: torch.dtype, exact: bool = False) -> dict[str, Tensor]:
    """Values ("out 0", ...) and gradients by input of a case, for fixed upstream gradients."""
    inputs = {
        name: x.detach().to(dtype) if x.is_floating_point() else x
        for name, x in case.inputs.items()
    }
    for name in case.wanted:
        inputs[name].requires_grad_()
    device = next(iter(inputs.values())).device
    low = case.autocast and not exact and device.type == "cuda" and dtype == torch.float32
    with kernels.using(choice), torch.autocast(device.type, torch.bfloat16, enabled=low):
        outputs = case.function(**inputs)
    found = {f"out {i}": output.detach() for i, output in enumerate(outputs)}
    if case.wanted:
        generator = torch.Generator(device).manual_seed(1)
        smooth = [o for o in outputs if o.requires_grad]
        upstream = [
            torch.randn(o.shape, generator=generator, device=device).to(o.dtype) for o in smooth
        ]
        gradients = torch.autograd.grad(smooth, [inputs[n] for n in case.wanted], upstream)
        found |= {f"d {n}": g for n, g in zip(case.wanted, gradients, strict=True)}
    return found


def relative_error(found: Tensor, truth: Tensor) -> float:
    """|found - truth| / |truth|."""
    truth = truth.double()
    return float((found.double() - truth).norm() / truth.norm().clamp_min(1e-30))
