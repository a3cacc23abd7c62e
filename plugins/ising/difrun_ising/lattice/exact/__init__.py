"""What is known exactly of the Ising model: partition functions, samples, moments, and the model p(x_0 | x_t)."""
