"""The kit for workloads whose denoiser is a torch module: loading, conditioning, noise, masks, observers."""
