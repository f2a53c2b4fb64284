"""The C++ library: building, loading and calling it."""
