"""The C++ library: how it is compiled, opened and called.

``build`` compiles ``src/``, ``library`` opens the result and runs commands.
``commands`` and ``fields`` are the structs that both sides share; ``layout`` makes sure
that they are the same. ``storage`` is how integers are stored; ``conversions`` makes
integers of real tensors and the other way round.
"""
