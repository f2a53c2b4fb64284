"""The one-command run: checks, processes, work dir, results."""
