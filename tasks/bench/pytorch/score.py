"""The estimators of core/scoring/estimators.ts in PyTorch, written from their definitions, for score_test.ts.

    python score.py '{"weights": "gpt.pt", "text": "text.txt", "kind": "gpt", "heads": 2, "context": 24, ...}'

Reads a .pt file as the original does, cuts the last tenth of the text into blocks, and prints bits per character as JSON:
for a GPT `exact`; for diffusion `left_to_right`, `nelbo_given` on the masks that came with the settings (a list of [block,
positions]), and `nelbo_own` on masks drawn here, with its standard error over passes.
"""
import json
import math
import sys

import torch
import torch.nn.functional as F

from step import Model


def blocks_of(text, context, first):
    """The last tenth of the text as tokens, [blocks, context]; the first character of the alphabet is token `first`."""
    tokens = {c: first + i for i, c in enumerate(sorted(set(text)))}
    validation = torch.tensor([tokens[c] for c in text[int(0.9 * len(text)):]])
    count = len(validation) // context
    return validation[: count * context].view(count, context)


def nats_of(model, tokens, targets):
    """-log p of each target, [rows, context], where the mask token of a diffusion model gets no probability."""
    logits = model(tokens).double()
    if model.has_mask:
        logits[..., 0] = -math.inf
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)


def masked_means(model, blocks, masks):
    """Of each [block, positions], the mean cross-entropy at the positions, which are masked."""
    targets = torch.stack([blocks[block] for block, _ in masks])
    masked = torch.zeros(targets.shape, dtype=torch.bool)
    for row, (_, positions) in enumerate(masks):
        masked[row, positions] = True
    nats = nats_of(model, targets.masked_fill(masked, 0), targets)
    return (nats * masked).nan_to_num().sum(1) / masked.sum(1)


def exact(model, blocks):
    return nats_of(model, blocks, blocks.roll(-1, 1))[:, :-1].mean().item()


def left_to_right(model, blocks):
    total = 0.0
    for i in range(1, blocks.shape[1]):
        hidden = blocks.clone()
        hidden[:, i:] = 0
        total += nats_of(model, hidden, blocks)[:, i].sum().item()
    return total / blocks[:, 1:].numel()


def nelbo_own(model, blocks, passes):
    """Mean and standard error over passes. Counts are drawn independently, not stratified: another way to the same expectation."""
    scored = blocks.shape[1] - 1
    draw = lambda: 1 + torch.randperm(scored)[: int(torch.randint(1, scored + 1, ()))]
    means = [masked_means(model, blocks, [(i, draw()) for i in range(len(blocks))]).mean() for _ in range(passes)]
    means = torch.stack(means)
    return means.mean().item(), (means.std() / math.sqrt(passes)).item()


@torch.no_grad()
def main():
    s = json.loads(sys.argv[1])
    torch.manual_seed(1)
    torch.set_num_threads(1)
    diffusion = s["kind"] == "diffusion"
    weights = torch.load(s["weights"], weights_only=True)
    vocab, width = weights["token_emb.weight"].shape
    layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
    model = Model(vocab, s["context"], layers, s["heads"], width, not diffusion)
    model.load_state_dict(weights)
    model.has_mask = diffusion
    with open(s["text"]) as file:
        blocks = blocks_of(file.read(), s["context"], 1 if diffusion else 0)
    if not diffusion:
        figures = {"exact": exact(model, blocks)}
    else:
        own, error = nelbo_own(model, blocks, s["passes"])
        figures = {
            "left_to_right": left_to_right(model, blocks),
            "nelbo_given": masked_means(model, blocks, s["masks"]).mean().item(),
            "nelbo_own": own,
            "nelbo_own_error": error,
        }
    print(json.dumps({name: nats / math.log(2) for name, nats in figures.items()}))


main()
