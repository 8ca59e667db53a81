import torch


def _points(codes, x):
    return (x.flatten(0, 1) - codes.grid_origin) / codes.voxel


def forward(codes, volume, moved, kind, count=None):
    from ssp_nerf.structured_codes import StructuredCodes

    if count is not None:
        moved = moved.clone()
        for b in range(len(moved)):
            moved[b, int(count[b]) :] = 1e6
    with torch.autocast(moved.device.type, enabled=False):
        return (
            codes._interpolate(volume, _points(codes, moved))
            .to(kind)
            .reshape(*moved.shape[:2], -1)
            .contiguous()
        )


def backward(codes, volume, moved, d_f, count):
    moved = moved.clone()
    d_f = d_f.float().clone()
    for b in range(len(moved)):
        moved[b, int(count[b]) :] = 1e6
        d_f[b, int(count[b]) :] = 0
    with torch.enable_grad(), torch.autocast(moved.device.type, enabled=False):
        vol = [v.detach().requires_grad_() for v in volume]
        m = moved.requires_grad_()
        f = codes._interpolate(vol, _points(codes, m)).view_as(d_f)
        *dv, dm = torch.autograd.grad(f, [*vol, m], d_f)
    return dv, dm
