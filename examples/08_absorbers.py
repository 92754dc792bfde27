"""A network with a saturable absorber, trained with light: how far its gradients are off, and that it learns."""

import torch

from lightloom import nn
from lightloom.learn import gradient_angles

torch.manual_seed(0)
images, labels = torch.rand(64, 64), torch.randint(0, 10, (64,))


def network() -> torch.nn.Sequential:
    """Two layers of weights with an absorber between them; backwards its transmission stands for its derivative."""
    absorber = nn.SaturableAbsorber(optical_depth=10, form="propagated", gradient="probe")
    hidden, head = (torch.nn.Linear(*sizes, bias=False) for sizes in ((64, 32), (32, 10)))
    torch.nn.init.normal_(hidden.weight, std=absorber.half_transmission_field / 4)  # bright enough to get through
    return torch.nn.Sequential(hidden, absorber, head)


def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean square error against one-hot targets."""
    return torch.nn.functional.mse_loss(outputs, torch.nn.functional.one_hot(targets, 10).float())


light = nn.OpticalPass(probe_intensity=0.1, photons=1e4, weight_bits=8, error_bits=8, loss_db=1)
for name, model, kind in (
    ("weak probe", network(), "probe"),
    ("all of it light", nn.AllOptical(network(), light), "light"),
):
    rows = gradient_angles(model, images, labels, loss, kinds=(kind,))
    told = ", ".join(f"{row['layer']} {row['angle_deg']:.1f} degrees" for row in rows)
    print(f"{name}: gradients differ from exact ones by {told}")

    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    first = loss(model(images), labels)
    for _ in range(200):
        optimiser.zero_grad()
        last = loss(model(images), labels)
        last.backward()
        optimiser.step()
    print(f"{name}: loss {first.detach():.3f} -> {last.detach():.3f}")
    assert last < first / 2
