#!/usr/bin/env python3
"""Trains the bundled model: python3 train.py --out DIR TEXT...; see README.md for the data.

Llama architecture as GGUF's "llama" has it: RoPE turns the pairs (2i, 2i+1), so the weights need no
permutation when they are exported. Every row length (256, 256, 768) is a multiple of 256, so
that every quantised block type of GGUF applies to every matrix.
"""

import argparse
import dataclasses
import hashlib
import math
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

import corpus


@dataclasses.dataclass
class Shape:
    vocabulary: int = 2048
    width: int = 256
    layers: int = 5
    heads: int = 4
    kv_heads: int = 2
    head_size: int = 64
    ff: int = 768
    context: int = 512
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-5


# ---- Model ------------------------------------------------------------------------------------


class Norm(torch.nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(shape.width))
        self.epsilon = shape.norm_epsilon

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * self.weight


class Layer(torch.nn.Module):
    """Names follow GGUF's blk.N.*, so that exporting is a loop over the state dictionary."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        q, kv = shape.heads * shape.head_size, shape.kv_heads * shape.head_size

        def linear(k, n):
            return torch.nn.Linear(k, n, bias=False)

        self.attn_norm, self.ffn_norm = Norm(shape), Norm(shape)
        self.attn_q, self.attn_k = linear(shape.width, q), linear(shape.width, kv)
        self.attn_v, self.attn_output = linear(shape.width, kv), linear(q, shape.width)
        self.ffn_gate, self.ffn_up = linear(shape.width, shape.ff), linear(shape.width, shape.ff)
        self.ffn_down = linear(shape.ff, shape.width)

    def forward(self, x, rotation, mask):
        x = x + self.attention(self.attn_norm(x), rotation, mask)
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))

    def attention(self, x, rotation, mask):
        batch, tokens, _ = x.shape
        s = self.shape
        group = s.heads // s.kv_heads
        q = rotate(self.attn_q(x).view(batch, tokens, s.kv_heads, group, s.head_size), rotation)
        k = rotate(self.attn_k(x).view(batch, tokens, s.kv_heads, 1, s.head_size), rotation)
        v = self.attn_v(x).view(batch, tokens, s.kv_heads, s.head_size).transpose(1, 2)
        # Query heads of a group are stacked below each other: one product per KV head.
        q = q.permute(0, 2, 3, 1, 4).reshape(batch, s.kv_heads, group * tokens, s.head_size)
        k = k.squeeze(3).transpose(1, 2)
        scores = q @ k.transpose(2, 3) * s.head_size**-0.5
        scores = scores.view(batch, s.kv_heads, group, tokens, tokens) + mask
        weights = torch.softmax(scores, -1).view(batch, s.kv_heads, group * tokens, tokens)
        y = (weights @ v).view(batch, s.kv_heads, group, tokens, s.head_size)
        return self.attn_output(y.permute(0, 3, 1, 2, 4).reshape(batch, tokens, -1))


def rotate(x, rotation):
    """RoPE on x[batch, token, head, group, size]; pairs are (2i, 2i+1)."""
    cos, sin = rotation
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).type_as(x)


class Model(torch.nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.token_embd = torch.nn.Embedding(shape.vocabulary, shape.width)
        self.blk = torch.nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.output_norm = Norm(shape)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                # Outputs into the residual stream start smaller: their sum keeps its variance.
                residual = name.endswith(("attn_output.weight", "ffn_down.weight"))
                torch.nn.init.normal_(weight, std=0.02 / (2 * shape.layers)**(residual / 2))
        frequency = shape.rope_base**(-torch.arange(0, shape.head_size, 2) / shape.head_size)
        angle = torch.outer(torch.arange(shape.context), frequency)[:, None, None, :]
        self.rotation = angle.cos(), angle.sin()

    def forward(self, ids):
        tokens = ids.shape[1]
        rotation = [table[:tokens] for table in self.rotation]
        mask = torch.full((tokens, tokens), -math.inf).triu(1)
        x = self.token_embd(ids)
        for layer in self.blk:
            x = layer(x, rotation, mask)
        return F.linear(self.output_norm(x), self.token_embd.weight)  # Tied: 12% fewer weights.


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised (K. Jordan 2024); for the matrices of the layers.

    Scaled by 0.2 sqrt(max(rows, columns)) as in Moonlight (2025): the update's size is then Adam's,
    and both optimisers share one learning rate.
    """

    def __init__(self, parameters, decay):
        super().__init__(parameters, dict(lr=0.0, decay=decay, momentum=0.95))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"].mul_(group["momentum"]).add_(weight.grad)
                update = orthogonalise(weight.grad + group["momentum"] * momentum)
                weight.mul_(1 - group["lr"] * group["decay"])
                weight.add_(update, alpha=-group["lr"] * 0.2 * max(weight.shape)**0.5)


def orthogonalise(g):
    """Newton-Schulz: about U V^T of g = U S V^T; five steps bring the singular values to ~1."""
    x = (g if g.shape[0] <= g.shape[1] else g.T).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (2.0315 * square @ square - 4.7750 * square) @ x
    return (x if g.shape[0] <= g.shape[1] else x.T).float()


# ---- Data -------------------------------------------------------------------------------------


class Tokens:
    """A token stream with the places where a window may start: the paragraphs.

    A window begins like a prompt, with BOS and the space that the tokenizer puts before a text, so
    the first chunk of each paragraph is also kept in the form it takes there.
    """

    def __init__(self, documents, vocabulary):
        ids, self.after_first, self.first = [], [], []
        for document in documents:
            ids.append(corpus.BOS)
            for number, paragraph in enumerate(document):
                lead = corpus.SPACE if number == 0 else "\n\n"
                chunks = vocabulary.split(lead + paragraph)
                for position, chunk in enumerate(chunks):
                    ids.extend(vocabulary.encode_chunk(chunk))
                    if position == (0 if number == 0 else 2):
                        self.after_first.append(len(ids))
                        word = chunk.lstrip(corpus.SPACE)
                        self.first.append([corpus.BOS] + vocabulary.encode(word))
            ids.append(corpus.EOS)
        self.ids = np.array(ids, dtype=np.int64)
        self.after_first = np.array(self.after_first)

    def window(self, position, length):
        """`length` tokens from the first paragraph after `position`, and where they end."""
        paragraph = np.searchsorted(self.after_first, position)
        begin = self.after_first[paragraph]
        head = self.first[paragraph]
        end = begin + length - len(head)
        return np.concatenate((head, self.ids[begin:end])), end

    def random_batch(self, rng, windows, length):
        # Nothing starts in the last windows' worth: paragraphs are far shorter than that.
        last = len(self.ids) - 4 * length
        return torch.from_numpy(np.stack(
            [self.window(rng.integers(last), length)[0] for _ in range(windows)]))

    def sweep(self, length):
        """Windows that follow each other, as many as fit."""
        windows, position = [], 0
        while position < len(self.ids) - 4 * length:
            window, position = self.window(position, length)
            windows.append(window)
        return torch.from_numpy(np.stack(windows))


def read_and_split(paths, validation_share):
    """Documents to train and to validate on: the last share of every file is held out."""
    train, validation = [], []
    for path in paths:
        documents = corpus.read_documents(path)
        left = (1 - validation_share) * sum(len(p) for d in documents for p in d)
        for document in documents:
            cut = 0
            while cut < len(document) and left > 0:
                left -= len(document[cut])
                cut += 1
            train += [document[:cut]] if cut else []
            validation += [document[cut:]] if cut < len(document) else []
        with open(path, "rb") as file:
            print(hashlib.sha256(file.read()).hexdigest(), os.path.basename(path))
    return train, validation


# ---- Training ---------------------------------------------------------------------------------


def loss_of(model, windows):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(windows[:, :-1])
    return F.cross_entropy(logits.float().flatten(0, 1), windows[:, 1:].flatten())


@torch.no_grad()
def validate(model, windows):
    losses = [loss_of(model, batch).item() * len(batch) for batch in windows.split(8)]
    return sum(losses) / len(windows)


@torch.no_grad()
def sample(model, vocabulary, prompt, tokens, seed, temperature=0.8, top_k=40):
    generator = torch.Generator().manual_seed(seed)
    ids = [corpus.BOS] + vocabulary.encode(prompt)
    while len(ids) < tokens and ids[-1] != corpus.EOS:
        logits = model(torch.tensor([ids]))[0, -1]
        values, candidates = logits.topk(top_k)
        choice = torch.multinomial((values / temperature).softmax(0), 1, generator=generator)
        ids.append(candidates[choice].item())
    return vocabulary.decode(ids)


def learning_rate(progress, peak, warm_up=0.02, floor=0.05):
    if progress < warm_up:
        return peak * progress / warm_up
    cosine = 0.5 + 0.5 * math.cos(math.pi * (progress - warm_up) / (1 - warm_up))
    return peak * (floor + (1 - floor) * cosine)


def train_model(args, model, vocabulary, tokens, held_out):
    """Trains in place; keeps the state to resume from and the best by held-out loss in args.out."""
    matrices = [w for name, w in model.named_parameters() if "blk" in name and w.dim() == 2]
    others = [w for name, w in model.named_parameters() if "blk" not in name or w.dim() == 1]
    optimizers = [Muon(matrices, args.decay),
                  torch.optim.AdamW(others, betas=(0.9, 0.95), weight_decay=0.0)]
    latest = os.path.join(args.out, "latest.pt")
    step, seconds, best, running = 0, 0.0, math.inf, None
    if os.path.exists(latest):
        saved = torch.load(latest)
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(optimizers, saved["optimizers"]):
            optimizer.load_state_dict(state)
        step, seconds, best = saved["step"], saved["seconds"], saved["best"]

    while step < args.steps:
        began = time.monotonic()
        rng = np.random.default_rng([args.seed, step])  # A resumed run draws the same windows.
        window = args.short if step < 0.7 * args.steps else model.shape.context
        loss = loss_of(model, tokens.random_batch(rng, args.batch_tokens // window, window + 1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate((step + 1) / args.steps, args.rate)
            optimizer.step()
        model.zero_grad(set_to_none=True)
        step += 1
        seconds += time.monotonic() - began
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        if step % args.every == 0 or step == args.steps:
            held = validate(model, held_out)
            print(f"step {step}/{args.steps} train {running:.4f} validation {held:.4f} "
                  f"{seconds:.0f} s, {step * args.batch_tokens / seconds:.0f} tokens/s", flush=True)
            state = dict(model=model.state_dict(), shape=dataclasses.asdict(model.shape),
                         pieces=vocabulary.pieces, step=step, seconds=seconds,
                         best=min(best, held), optimizers=[o.state_dict() for o in optimizers])
            save(state, latest)
            if held < best:
                best = held
                save(state, best_checkpoint(args))


def save(state, path):
    """Whole or not at all: an interrupted run resumes from the file."""
    torch.save(state, path + ".new")
    os.replace(path + ".new", path)


def best_checkpoint(args):
    return os.path.join(args.out, "best.pt")


def report(model, vocabulary, windows, seed):
    loss = validate(model, windows)
    print(f"validation {loss:.4f} nats/token, perplexity {math.exp(loss):.2f}, "
          f"on {len(windows)} windows of {windows.shape[1] - 1} tokens")
    for prompt in ("Once upon a time", "There was once a king who", "ROMEO:"):
        print("---\n" + sample(model, vocabulary, prompt, 160, seed))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", nargs="+", help="plain text or Project Gutenberg files")
    parser.add_argument("--out", required=True, help="folder of checkpoints; resumes from it")
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--layers", type=int, default=Shape.layers)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--short", type=int, default=256,
                        help="window of the first 70%% of the steps; then the whole context")
    parser.add_argument("--rate", type=float, default=3e-3, help="peak learning rate")
    parser.add_argument("--decay", type=float, default=0.1, help="weight decay of the matrices")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--every", type=int, default=100, help="steps between validations")
    return parser.parse_args()


def main():
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    os.makedirs(args.out, exist_ok=True)
    shape = Shape(layers=args.layers)
    documents, held_out = read_and_split(args.texts, validation_share=0.05)
    with open(os.path.join(args.out, "held_out.txt"), "w", encoding="utf-8") as file:
        file.write("\n\n".join(p for d in held_out for p in d) + "\n")
    vocabulary = corpus.train_vocabulary(["\n\n".join(d) for d in documents], shape.vocabulary)
    tokens, held_out_tokens = Tokens(documents, vocabulary), Tokens(held_out, vocabulary)
    windows = held_out_tokens.sweep(shape.context + 1)
    model = Model(shape)
    print(f"{sum(w.numel() for w in model.parameters())} parameters, {len(tokens.ids)} training "
          f"and {len(held_out_tokens.ids)} held-out tokens, seed {args.seed}", flush=True)
    # A sixth of the held-out windows steers the choice of the checkpoint; all of them judge it.
    train_model(args, model, vocabulary, tokens, windows[::6])
    model.load_state_dict(torch.load(best_checkpoint(args))["model"])
    report(model, vocabulary, windows, args.seed)


if __name__ == "__main__":
    main()
