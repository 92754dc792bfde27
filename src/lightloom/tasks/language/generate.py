"""Text out of a model: one character after the other, each drawn from what the model expects."""

from __future__ import annotations

import math

import torch
from torch import nn

from lightloom.common.errors import RequestError
from lightloom.common.seeds import named_generator
from lightloom.tasks.language.windows import Alphabet


@torch.no_grad()
def generate_text(
    model: nn.Module,
    alphabet: Alphabet,
    prompt: str,
    *,
    length: int,
    context: int,
    temperature: float = 1.0,
    seed: int = 0,
) -> str:
    """Go on with a text.

    The whole context goes through the model again for every character: nothing is kept between two of them. A character
    that the alphabet lacks is never drawn.

    Args:
        model: From numbers [1, positions] to logits [1, positions, characters].
        alphabet: What the numbers mean.
        prompt: The text to go on with; at least one character. The model sees the last `context` of them.
        length: Characters to draw.
        context: Most positions that the model can see.
        temperature: Divides the logits; 0 always takes the likeliest character.
        seed: Of what is drawn; the same seed gives the same text.

    Returns:
        What follows the prompt.

    Raises:
        RequestError: The prompt is empty, a number is out of range, or the model's logits are not finite.
    """
    if not prompt:
        raise RequestError("The prompt is empty; give at least one character to go on with.")
    if length < 0:
        raise RequestError(f"`length` is {length}; draw 0 characters or more.")
    if not (0 <= temperature < math.inf):
        raise RequestError(f"`temperature` is {temperature}; give 0 or a finite number above it.")
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    generator = named_generator(seed, "sample")
    numbers = alphabet.encode(prompt)
    for _ in range(length):
        logits = model(numbers[-context:].unsqueeze(0).to(device))[0, -1].double().cpu()
        numbers = torch.cat((numbers, _draw(logits, temperature, generator)))
    model.train(was_training)
    return alphabet.decode(numbers[len(prompt) :])


def _draw(logits: torch.Tensor, temperature: float, generator: torch.Generator) -> torch.Tensor:
    """The number [1] of one character by logits [characters]; never 0, which is none of the alphabet."""
    scores = logits[1:]
    if not bool(torch.isfinite(scores).all()):
        raise RequestError("The model gives logits that are not finite, so no character can be drawn; train it anew.")
    if temperature == 0:
        return scores.argmax().unsqueeze(0) + 1
    likelihood = torch.softmax((scores - scores.max()) / temperature, 0)
    return torch.multinomial(likelihood, 1, generator=generator) + 1
