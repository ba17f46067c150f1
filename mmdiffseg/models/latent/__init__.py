"""Stable Diffusion, as the latent methods share it."""
