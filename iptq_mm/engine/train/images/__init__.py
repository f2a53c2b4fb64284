"""What a training sees: images in an order that can go on, and how they are mixed."""

from .mixing import Mixing
from .seeding import SeededBatches, SeededImages, seed_random, seeded

__all__ = ['Mixing', 'SeededBatches', 'SeededImages', 'seed_random', 'seeded']
