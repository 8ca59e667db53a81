"""How exact and how fast each Triton kernel is on this GPU, beside its twin in plain PyTorch.

    python -m benchmarks.kernels
    TRITON_INTERPRET=1 python -m benchmarks.kernels --device cpu --rays 4

For each operation: the relative error of its values and of each gradient against float64, |out -
ref| / |ref|, of the kernel and of the twin; and, on a GPU, the milliseconds that the way there and
the way there and back take, at the sizes of a step of the paper's model.
"""

import argparse
import importlib
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ssp_nerf import kernels

OPERATIONS = ("overall", "codes", "rays")
"""Each has its cases in benchmarks/kernel_cases_<name>.py."""
EXACT_RAYS = 64  # float64 is slow, and the error does not depend on how many there are
WARM_UP, REPEATS = 3, 15


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


def run(case: Case, choice: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """Values ("out 0", ...) and gradients by input of a case, for fixed upstream gradients."""
    inputs = {
        name: x.detach().to(dtype) if x.is_floating_point() else x
        for name, x in case.inputs.items()
    }
    for name in case.wanted:
        inputs[name].requires_grad_()
    device = next(iter(inputs.values())).device
    low = case.autocast and device.type == "cuda" and dtype == torch.float32
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


def milliseconds(case: Case, choice: str) -> float:
    """Median time of a case there and, where it has gradients, back."""
    for _ in range(WARM_UP):
        run(case, choice, torch.float32)
    times = []
    for _ in range(REPEATS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run(case, choice, torch.float32)
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def cases(names: Sequence[str], device: torch.device, rays: int) -> list[Case]:
    """All cases of the operations named."""
    modules = [importlib.import_module(f"benchmarks.kernel_cases_{name}") for name in names]
    return [
        case
        for name, module in zip(names, modules, strict=True)
        for case in getattr(module, f"cases_{name}")(device, rays)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--operations", nargs="+", choices=OPERATIONS, default=OPERATIONS)
    parser.add_argument("--device", default="cuda", help="cuda, or cpu in Triton's interpreter")
    parser.add_argument("--rays", type=int, default=1024, help="of a step")
    options = parser.parse_args()
    device = torch.device(options.device)
    print(f"{'':38s} {'kernel':>9s} {'twin':>9s}   relative error")
    for case in cases(options.operations, device, min(options.rays, EXACT_RAYS)):
        by_kernel, by_twin = (run(case, c, torch.float32) for c in ("triton", "plain"))
        truth = run(case, "plain", torch.float64)
        print(case.name)
        for name, exact in truth.items():
            errors = (relative_error(found[name], exact) for found in (by_kernel, by_twin))
            print(f"  {name:36s} {' '.join(f'{error:9.1e}' for error in errors)}", flush=True)
    if device.type == "cuda":
        print(f"{'':38s} {'kernel':>9s} {'twin':>9s}   ms there and back, {options.rays} rays")
        for case in cases(options.operations, device, options.rays):
            times = (milliseconds(case, choice) for choice in ("triton", "plain"))
            print(f"  {case.name:36s} {' '.join(f'{ms:9.3f}' for ms in times)}", flush=True)


if __name__ == "__main__":
    main()
