"""What the sanitizers are told."""

#: Memory that cannot be had is refused, not an error of the library.
ENVIRONMENT = {
    'ASAN_OPTIONS': 'allocator_may_return_null=1:max_allocation_size_mb=256',
    'UBSAN_OPTIONS': 'print_stacktrace=1',
}
