"""From phases to a matrix of light and back, with gradients."""

import torch

from lightloom.physics import mesh

torch.manual_seed(0)
size = 8
target = torch.linalg.qr(torch.randn(100, size, size, dtype=torch.float64)).Q

settings = mesh.decompose(target)  # exact, all hundred at once
made = mesh.build(settings.phases, size, signs=settings.signs)
print(f"{mesh.mzi_count(size, 'rectangle')} MZIs per mesh, largest error {(made - target).abs().max():.1e}")

phases = settings.phases.requires_grad_()
mesh.build(phases, size, signs=settings.signs)[:, 0, 0].sum().backward()
assert phases.grad is not None
print(f"gradient of the corner element: {phases.grad.shape[-1]} phases, norm {phases.grad[0].norm():.3f}")
