"""The back ends that run programs, one folder or file each."""
