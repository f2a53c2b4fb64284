"""A worker process of a sweep: measures the row that its only argument orders."""

import json
import sys

from .results import Order, measure

if __name__ == '__main__':
    measure(Order(**json.loads(sys.argv[1])))
