"""Discrete-time denoising diffusion (DDPM and DDIM) for difrun."""
