"""A transformer learns to spell, goes on a chip that nobody knows, and comes back: bits per character."""

import torch

from lightloom import chips, cost, nn
from lightloom.lab.instrumented import instruments_for
from lightloom.lab.mesh.identify import identify, settings_for_targets
from lightloom.tasks.language import CharacterTransformer, NextCharacter, generate_text, read_text, split_text

CONTEXT = 32
torch.manual_seed(0)
splits = split_text(read_text("pydoc").cut(80_000), CONTEXT)  # of Python's own help, which is always there
model = CharacterTransformer(len(splits.alphabet), context=CONTEXT, width=24, heads=2, depth=1)
objective, test = NextCharacter(), splits.test
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
for batch in torch.cat([torch.randperm(len(splits.train)) for _ in range(4)]).split(16):
    optimizer.zero_grad()
    objective.loss(model(splits.train.inputs[batch]), splits.train.targets[batch]).backward()
    optimizer.step()
print(f"electronic  {objective.evaluate(model, test)['bits_per_character']:.3f} bits per character")

chip = chips.preset("l2ight").replace(block_size=4)
optical = nn.convert(model, chip).model
targets = {name: layer.core.ideal_weight().detach() for name, layer in nn.optical_layers(optical).items()}
nn.install(optical, 7)  # a manufactured chip, whose errors nobody knows
print(f"programmed  {objective.evaluate(optical, test)['bits_per_character']:.3f}")

for meshes in instruments_for(optical, readout_std=0.001):
    identified = identify(meshes.instrument)
    meshes.store(*settings_for_targets(identified.twin, meshes.targets(targets)))
print(f"calibrated  {objective.evaluate(optical, test)['bits_per_character']:.3f}")

text = generate_text(optical, splits.alphabet, "If the object ", length=60, context=CONTEXT, temperature=0.5)
energy = cost.estimate(optical, test.inputs[:1]).total.energy_j
print(f"If the object {text!r}: {energy / CONTEXT * 1e9:.0f} nJ per character read, {energy * 1e6:.1f} uJ written")
