"""Convert a transformer, each part to the technology that suits it, and take it back."""

import torch

from lightloom import chips, nn

torch.manual_seed(0)
encoder = torch.nn.TransformerEncoder(
    torch.nn.TransformerEncoderLayer(32, nhead=4, dim_feedforward=64, batch_first=True), num_layers=2
)
model = torch.nn.Sequential(torch.nn.Embedding(100, 32), encoder, torch.nn.Linear(32, 100))
tokens = torch.randint(0, 100, (2, 12))

# Attention on meshes, which are programmed once; the wide layers on crossbars; the head stays electronic.
conversion = nn.convert(
    model,
    chips.preset("thermo-optic").replace(phase_bias=0.0),  # calibrated: biases are known
    places=[("*.linear*", chips.preset("elight")), ("2", None)],
)
print(conversion)

nn.install(conversion.model, 7)  # specimen 7 of each of the chips
model.eval(), conversion.model.eval()
with torch.no_grad():
    wanted, made = model(tokens), conversion.model(tokens)
    print(f"two chips: off by {(made - wanted).norm() / wanted.norm():.3f}")

    back = nn.to_electronic(conversion.model)  # plain torch again, with the weights that the chips make
    print(f"same modules: {[type(m) for m in back.modules()] == [type(m) for m in model.modules()]}")
