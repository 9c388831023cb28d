"""The command line: a file per command group; each imports what it needs when it runs."""
