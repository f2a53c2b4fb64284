"""Tiny models that read token ids: like BERT, like DistilBERT, like GPT-2."""

import math

import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Attention of two heads by a product, a mask, Softmax and a product."""

    def __init__(self, dims, style):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(dims, dims) for _ in range(3))
        self.out = nn.Linear(dims, dims)
        self.style = style

    def forward(self, x, mask=None):
        batch, tokens, dims = x.shape
        q, k, v = (
            layer(x).view(batch, tokens, 2, dims // 2).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        if self.style == 'sdpa':
            found = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        elif self.style == 'causal sdpa':
            found = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = q @ k.transpose(-2, -1) / math.sqrt(dims // 2)
            if self.style == 'add':
                scores = scores + mask
            elif self.style == 'fill':
                scores = scores.masked_fill(mask, float('-inf'))
            elif self.style == 'where':
                scores = torch.where(mask, scores, torch.finfo(scores.dtype).min)
            found = scores.softmax(-1) @ v
        return self.out(found.transpose(1, 2).reshape(batch, tokens, dims))


class Layer(nn.Module):
    """A layer of a transformer; LayerNorm before (GPT-2) or after (BERT)."""

    def __init__(self, dims, style, before=False):
        super().__init__()
        self.attention = Attention(dims, style)
        self.norm, self.last = nn.LayerNorm(dims), nn.LayerNorm(dims)
        self.up, self.down = nn.Linear(dims, 4 * dims), nn.Linear(4 * dims, dims)
        self.before = before

    def forward(self, x, mask=None):
        if self.before:
            x = x + self.attention(self.norm(x), mask)
            return x + self.down(F.gelu(self.up(self.last(x))))
        x = self.norm(x + self.attention(x, mask))
        return self.last(x + self.down(F.gelu(self.up(x))))


class Bert(nn.Module):
    """Like BERT: ids, a padding mask of 0 and 1, token types; LayerNorm after.

    Args:
        style: How the mask meets the scores: 'add', 'fill', 'where' or 'sdpa'.
    """

    def __init__(self, style='add', dims=32, words=50, tokens=16):
        super().__init__()
        self.words = nn.Embedding(words, dims, padding_idx=0)
        self.positions = nn.Embedding(tokens, dims)
        self.types = nn.Embedding(2, dims)
        self.norm = nn.LayerNorm(dims, eps=1e-12)
        self.layers = nn.ModuleList(Layer(dims, style) for _ in range(2))
        self.register_buffer('numbers', torch.arange(tokens)[None], persistent=False)
        self.style = style

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        x = self.words(input_ids) + self.types(token_type_ids)
        x = self.norm(x + self.positions(self.numbers[:, : input_ids.shape[1]]))
        mask = self.mask(attention_mask[:, None, None, :])
        for layer in self.layers:
            x = layer(x, mask)
        return x

    def mask(self, seen):
        if self.style == 'add':
            return (1.0 - seen.to(torch.float32)) * torch.finfo(torch.float32).min
        return seen == 0 if self.style == 'fill' else seen.bool()


class Gpt(nn.Module):
    """Like GPT-2: causal, LayerNorm before, the table of words is the last layer, too.

    Args:
        style: 'fill', 'where' (with a buffer of booleans) or 'causal sdpa'.
    """

    def __init__(self, style='where', dims=32, words=50, tokens=16):
        super().__init__()
        self.words, self.positions = (
            nn.Embedding(words, dims),
            nn.Embedding(tokens, dims),
        )
        self.layers = nn.ModuleList(Layer(dims, style, True) for _ in range(2))
        self.norm = nn.LayerNorm(dims)
        self.head = nn.Linear(dims, words, bias=False)
        self.head.weight = self.words.weight
        seen = torch.ones(tokens, tokens, dtype=torch.bool).tril()[None, None]
        self.register_buffer('seen', seen, persistent=False)
        self.style = style

    def forward(self, input_ids):
        size = input_ids.shape[1]
        places = torch.arange(size, device=input_ids.device)
        x = self.words(input_ids) + self.positions(places)
        mask = self.seen[:, :, :size, :size]
        mask = ~mask if self.style == 'fill' else mask
        for layer in self.layers:
            x = layer(x, mask)
        return self.head(self.norm(x))


def made(kind, *args, **kwargs):
    """A model with weights from a seed, of sizes that attention notices."""
    torch.manual_seed(0)
    model = kind(*args, **kwargs).eval()
    for module in model.modules():
        if isinstance(module, nn.Linear) and module is not getattr(model, 'head', None):
            nn.init.normal_(module.weight, std=0.3)
    return model


def sentences(count=4, tokens=12, words=50, seed=1):
    """Ids and masks of sentences of all lengths, padded at the end."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, words, (count, tokens), generator=generator)
    lengths = torch.randint(1, tokens + 1, (count, 1), generator=generator)
    lengths[0] = tokens
    mask = (torch.arange(tokens)[None] < lengths).long()
    return ids * mask, mask
