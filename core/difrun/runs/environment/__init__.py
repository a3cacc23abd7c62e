"""What surrounds a run: device, threads, and components that fail."""
