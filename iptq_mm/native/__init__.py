"""The C++ library: how it is compiled, opened and called.

``build`` compiles ``src/``, ``library`` opens the result and runs commands. ``commands``
and ``fields`` are the structs that both sides share, and ``layout`` compares them.
``storage`` is how integers are stored, ``conversions`` quantizes and dequantizes.
"""
