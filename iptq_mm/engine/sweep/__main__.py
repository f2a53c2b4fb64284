"""Measures the row of the order in the only argument: a worker of a comparison."""

import json
import sys

from .rows import Order, measure

if __name__ == '__main__':
    measure(Order(**json.loads(sys.argv[1])))
