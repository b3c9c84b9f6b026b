"""The models of which artifacts are gathered."""

from typing import Any

PARAMS: list[dict[str, Any]] = [{"vae": {"kind": "vae", "latent": 2}}, {"ae": {"kind": "autoencoder", "latent": 16}}]
