"""One training step of the same network in PyTorch, for `--pytorch PYTHON` of `bench` and `check-gpu`.

The original's modules, loss and AdamW, in eager mode or compiled, written from what core/model.ts describes. Speaks as
tasks/bench/step.ts does: a line with a number of steps in, a line of JSON with their milliseconds out.
"""
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, width, heads, causal):
        super().__init__()
        self.heads, self.causal = heads, causal
        for name in ("c_q", "c_k", "c_v", "c_proj"):
            setattr(self, name, nn.Linear(width, width, bias=False))

    def forward(self, x, cos, sin):
        B, T, C = x.shape
        split = lambda y: y.view(B, T, self.heads, C // self.heads)
        q, k, v = split(self.c_q(x)), split(self.c_k(x)), split(self.c_v(x))
        q, k = norm(rotate(q, cos, sin)), norm(rotate(k, cos, sin))
        y = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=self.causal
        )
        return self.c_proj(y.transpose(1, 2).contiguous().view(B, T, C))


class MLP(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width, bias=False)
        self.c_proj = nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        return self.c_proj(F.relu(self.c_fc(x)).square())


class Block(nn.Module):
    def __init__(self, width, heads, causal):
        super().__init__()
        self.attn, self.mlp = Attention(width, heads, causal), MLP(width)

    def forward(self, x, cos, sin):
        x = x + self.attn(norm(x), cos, sin)
        return x + self.mlp(norm(x))


class Model(nn.Module):
    def __init__(self, vocab, context, layers, heads, width, causal):
        super().__init__()
        self.token_emb = nn.Embedding(vocab, width)
        self.blocks = nn.ModuleList(Block(width, heads, causal) for _ in range(layers))
        self.lm_head = nn.Linear(width, vocab, bias=False)
        for p in self.parameters():
            nn.init.normal_(p, 0.0, 0.02)
        size = width // heads
        angles = torch.outer(
            torch.arange(context).float(), 1 / 10000 ** (torch.arange(0, size, 2).float() / size)
        )
        self.register_buffer("cos", angles.cos()[None, :, None, :], persistent=False)
        self.register_buffer("sin", angles.sin()[None, :, None, :], persistent=False)

    def forward(self, tokens):
        x = norm(self.token_emb(tokens))
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return self.lm_head(norm(x))


def norm(x):
    return F.rms_norm(x, (x.size(-1),))


def rotate(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1)


def resident_bytes():
    """Of this process now; on macOS the most so far, on Windows unknown."""
    try:
        import resource
    except ImportError:
        return 0
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def prepare_product(size, device):
    """Multiplies two large matrices: its speed is called the peak."""
    a = torch.full((size, size), 1 / size, device=device)
    return lambda: (a @ a).sum().item()


def prepare_training(config, device, compile):
    B, T, V = config["batch"], config["context"], config["vocab"]
    diffusion = config["kind"] == "diffusion"
    model = Model(
        V, T, config["layers"], config["heads"], config["width"], not diffusion
    ).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config["learningRate"])
    if compile:
        model = torch.compile(model)

    def step():
        x = torch.randint(1, V, (B, T), device=device)
        if diffusion:
            mask = torch.rand(B, T, device=device) < torch.rand(B, 1, device=device)
            logits = model(torch.where(mask, 0, x))
            loss = F.cross_entropy(logits.view(-1, V), x.view(-1), reduction="none")
            loss = (loss * mask.view(-1)).sum() / mask.sum()
        else:
            loss = F.cross_entropy(model(x).view(-1, V), x.roll(-1, 1).view(-1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def main():
    settings = json.loads(sys.argv[1])
    work, compile = settings["work"], settings.get("compile", False)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(1)
    torch.set_num_threads(settings["threads"])
    if device == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32, which our engines use, too
    if isinstance(work, int):
        step = prepare_product(work, device)
    else:
        step = prepare_training(work, device, compile)

    mode = " compiled" if compile else ""
    name = f"pytorch {torch.__version__.split('+')[0]} {device}{mode}"
    print(json.dumps({"name": name}), flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            step()
            times.append(1000 * (time.perf_counter() - start))
        print(json.dumps({"ms": times, "rssBytes": resident_bytes()}), flush=True)


if __name__ == "__main__":
    main()
