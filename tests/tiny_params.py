"""Parameters of models and rungs that are trained in a tenth of a second, and what might be measured of them."""

TINY = {"arch": "mlp", "hidden": [8], "latent": 2}
PARAMS = {
    "device": "cpu",
    "train": {"steps": 4, "batch_size": 20, "learning_rate": 0.01, "precision": "fp32"},
    "models": {
        "pca": {"kind": "pca", "latent": 2},
        "ae": {"kind": "autoencoder", **TINY},
        "vae": {"kind": "vae", **TINY},
    },
    "features": {"epochs": 1, "images": 100},
    "evaluate": {"importance_samples": 5, "importance_images": 10, "mixture_components": 2},
    "plots": {"images": 4, "grid": 3},
}
METRICS = {"ssim": 0.5, "knn5": 0.5, "frechet/prior": 9.0, "frechet/mixture": 8.0, "frechet/floor": 0.5}
LADDER = {
    "one_image": {"networks": [[2, 2], [4, 2]], "steps": 12},
    "one_hot": {"counts": [2, 8], "latent": 3, "channels": [4, 2], "steps": 10},
    "auto_decoder": {"images": 16, "latent": 3, "channels": [4, 2], "epochs": 2},
    "linear": {"latents": [1, 3], "epochs": 2, "batch_size": 15},
    "beta": {"betas": [0.1, 10], "latent": 3, "hidden": [8], "decoder_hidden": [8], "images": 40, "epochs": 1},
}
