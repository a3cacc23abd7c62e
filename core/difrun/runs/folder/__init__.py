"""The folder of a run: its files, its lock, its copy of the data."""
