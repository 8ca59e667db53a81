"""Plot of the losses over training."""

from collections.abc import Sequence
from pathlib import Path

from ssp_nerf.files import whole_output


def plot_training(path: Path, history: Sequence[Sequence[float]]) -> None:
    """Write a PNG: losses (logarithmic) and PSNR of the drawn rays against steps.

    Args:
        history: rows of step, loss, photometric, semantic, psnr; what follows is not drawn.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    steps, loss, photometric, semantic, psnr, *_ = zip(*history, strict=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    left.plot(steps, loss, label="objective, eq. 12")
    left.plot(steps, photometric, label="photometric $L_p$")
    if any(semantic):
        left.plot(steps, semantic, label="semantic $L_s$")
    left.set(xlabel="step", ylabel="mean over the rays", yscale="log")
    left.legend()
    right.plot(steps, psnr, color="tab:green")
    right.set(xlabel="step", ylabel="PSNR of the drawn rays (dB)")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    with whole_output(path) as partial:
        figure.savefig(partial, dpi=110)
    plt.close(figure)
