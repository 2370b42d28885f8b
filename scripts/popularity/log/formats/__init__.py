"""The kinds of files that a log may be in: each is a module of its name, found by its file."""
