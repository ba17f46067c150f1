"""Stable Diffusion's parts, for all methods that work on its latents."""
