"""Rules of integers and booleans that a region is given: token ids and masks.

They enter as they are, at the scale 1, in every mode. What is made of them by moves,
comparisons and numbers stays exact. An embedding takes rows of its table. A mask hides
scores from Softmax: the integer of a hidden score is so low that its exponential is 0
in every integer function, so that it has no influence at all.
"""

from . import embedding, masks, numbers  # noqa: F401  (they fill the table)
