"""Integer programs in C++ on x86 CPUs."""
